#include "pkt/coalesce.h"

#include <functional>

#include "pkt/coalesce_bench.h"
#include "pkt/flow_segment.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

/** The packet that continues `m`. */
Model after(const Model& m, size_t payload = 1000) {
  Model next = m;
  next.seq += static_cast<uint32_t>(m.payload.size());
  ++next.id;
  next.payload = Random(m.seq + 1).bytes(payload);
  return next;
}

/** Pushes `first` and a change of its successor; tells why the first was written before the second. */
void check_refused(const std::function<void(Model&)>& change, FlushCause cause, bool tcp = true, int version = 4) {
  Bench bench;
  const Model first = head(tcp, version);
  Model second = after(first);
  change(second);
  CHECK_EQ(bench.push(first), Coalesce::kHeld);
  bench.push(second);
  CHECK_EQ(bench.flushed(cause), 1u);
  bench.flush();
  CHECK_EQ(bench.frames.size(), 2u);
  CHECK(bench.packets() == std::vector<Bytes>({build(first), build(second)}));
}

/** Pushes `first` and then `packet`, which must be passed through behind it. */
void check_passed(const Bytes& packet, Coalesce reason, bool tcp = true) {
  Bench bench;
  const Model first = head(tcp);
  bench.push(first);
  CHECK_EQ(bench.push(packet), reason);
  CHECK_EQ(bench.frames.size(), 2u);
  CHECK(bench.coalescer.empty());
  CHECK(bench.packets() == std::vector<Bytes>({build(first), packet}));
}

void check_passed(const std::function<void(Model&)>& change, Coalesce reason, bool tcp = true) {
  Model second = after(head(tcp));
  change(second);
  check_passed(build(second), reason, tcp);
}

}  // namespace

TEST(contiguous_segments_become_one_frame) {
  for (const int version : {4, 6}) {
    for (const bool tcp : {true, false}) {
      Bench bench;
      std::vector<Bytes> in;
      Model m = head(tcp, version);
      m.flags |= 0x40;  // ECE on all
      for (int i = 0; i < 10; ++i, m = after(m)) {
        in.push_back(build(m));
        CHECK_EQ(bench.push(in.back()), i == 0 ? Coalesce::kHeld : Coalesce::kAppended);
      }
      CHECK(bench.frames.empty());
      bench.flush();
      CHECK_EQ(bench.frames.size(), 1u);
      CHECK(bench.packets() == in);
      CHECK_EQ(bench.coalescer.counters().appended, 9u);
    }
  }
}

TEST(short_segment_and_push_end_a_super_packet) {
  for (const bool push : {false, true}) {
    Bench bench;
    const Model first = head();
    Model second = after(first, push ? 1000 : 999);
    if (push) second.flags |= 8;
    bench.push(first);
    CHECK_EQ(bench.push(second), Coalesce::kAppended);
    CHECK_EQ(bench.frames.size(), 1u);
    CHECK_EQ(bench.flushed(FlushCause::kComplete), 1u);
    CHECK(bench.packets() == std::vector<Bytes>({build(first), build(second)}));
  }
}

TEST(push_on_the_first_goes_through) {
  Bench bench;
  Model m = head();
  m.flags |= 8;
  CHECK_EQ(bench.push(m), Coalesce::kPush);
  CHECK(bench.coalescer.empty());
}

TEST(refusals_between_packets) {
  check_refused([](Model& m) { m.seq += 1; }, FlushCause::kSequence);
  check_refused([](Model& m) { m.seq -= 1000; }, FlushCause::kSequence);
  check_refused([](Model& m) { m.ack += 1; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.window ^= 1; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.flags |= 0x40; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.reserved = 1; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.urgent += 1; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.tcp_options[11] ^= 1; }, FlushCause::kHeaderChange);
  check_refused([](Model& m) { m.tcp_options.resize(8); }, FlushCause::kHeaderChange);
  for (const bool tcp : {true, false}) {
    for (const int version : {4, 6}) {
      check_refused([](Model& m) { m.tos ^= 3; }, FlushCause::kIpChange, tcp, version);
      check_refused([](Model& m) { m.tos ^= 4; }, FlushCause::kIpChange, tcp, version);
      check_refused([](Model& m) { m.ttl ^= 1; }, FlushCause::kIpChange, tcp, version);
      check_refused([](Model& m) { m.payload.push_back(1); }, FlushCause::kSize, tcp, version);
    }
    check_refused([](Model& m) { m.df = !m.df; }, FlushCause::kIpChange, tcp, 4);
    check_refused([](Model& m) { m.flow_label ^= 1; }, FlushCause::kIpChange, tcp, 6);
  }
}

TEST(ids_matter_only_without_df) {
  for (const bool df : {true, false}) {
    for (const int step : {0, 1, 2}) {
      Bench bench;
      Model first = head();
      first.df = df;
      Model second = after(first);
      second.id = static_cast<uint16_t>(first.id + step);
      bench.push(first);
      const bool appended = bench.push(second) == Coalesce::kAppended;
      CHECK_EQ(appended, df || step == 1);
      if (!appended) CHECK_EQ(bench.flushed(FlushCause::kIpId), 1u);
    }
  }
}

TEST(packets_that_go_through_stay_behind_their_flow) {
  for (const uint8_t flag : {0x01, 0x02, 0x04, 0x20, 0x80}) {
    check_passed([&](Model& m) { m.flags |= flag; }, Coalesce::kTcpFlags);
  }
  check_passed([](Model& m) { m.flags = 0; }, Coalesce::kTcpFlags);
  check_passed([](Model& m) { m.payload.clear(); }, Coalesce::kNoPayload);
  check_passed([](Model& m) { m.payload.clear(); }, Coalesce::kNoPayload, false);
  check_passed([](Model& m) { m.ip_options = Bytes(4, 1); }, Coalesce::kIpOptions);
  check_passed([](Model& m) { m.udp_no_checksum = true; }, Coalesce::kUdpNoChecksum, false);

  const Model next = after(head());
  Bytes fragment = build(next);
  fragment[6] = 0x20;
  check_passed(fragment, Coalesce::kFragment);
  fragment[6] = 0;
  fragment[7] = 7;  // later fragment: no ports
  check_passed(fragment, Coalesce::kFragment);
  Bytes no_header = build(next);
  no_header[20 + 12] = 0x40;
  check_passed(no_header, Coalesce::kBadL4Header);
  Bytes cut = build(next);
  cut.resize(23);
  cut[2] = 0;
  cut[3] = 23;
  check_passed(cut, Coalesce::kBadL4Header);
  Bytes udp_length = build(after(head(false)));
  ++udp_length[25];
  check_passed(udp_length, Coalesce::kBadL4Header, false);
}

TEST(other_protocols_go_through_without_a_flush) {
  Bench bench;
  bench.push(head());
  Bytes icmp = build(after(head()));
  icmp[9] = 1;
  CHECK_EQ(bench.push(icmp), Coalesce::kNotTcpUdp);
  CHECK_EQ(bench.frames.size(), 1u);
  CHECK(!bench.coalescer.empty());
}

TEST(damage_is_not_laundered) {
  for (const bool tcp : {true, false}) {
    for (const bool in_head : {true, false}) {
      const size_t l4_checksum = tcp ? 36 : 26;
      for (const size_t at : {size_t{10}, l4_checksum, size_t{200}}) {
        Bytes first = build(head(tcp));
        Bytes second = build(after(head(tcp)));
        (in_head ? first : second)[at] ^= 0x10;
        Bench bench;
        bench.push(first);
        const Coalesce result = bench.push(second);
        bench.flush();
        CHECK_EQ(bench.frames.size(), 2u);
        CHECK(bench.packets() == std::vector<Bytes>({first, second}));
        if (in_head) {
          CHECK_EQ(bench.flushed(FlushCause::kHeadChecksum), 1u);
        } else {
          CHECK_EQ(result, Coalesce::kBadChecksum);
        }
      }
    }
  }
}

TEST(limits_of_size_and_count) {
  for (const int version : {4, 6}) {
    Bench bench;
    Model m = head(true, version, 1400);
    for (int i = 0; i < 100; ++i, m = after(m, 1400)) bench.push(m);
    bench.flush();
    CHECK(bench.flushed(FlushCause::kFull) >= 2u);
    for (const Bytes& frame : bench.frames) CHECK(frame.size() <= 10 + 65535);
    CHECK_EQ(bench.packets().size(), 100u);
  }
  Bench bench;
  Model m = head(false, 4, 100);
  for (int i = 0; i < 65; ++i, m = after(m, 100)) bench.push(m);
  bench.flush();
  CHECK_EQ(bench.frames.size(), 2u);
  CHECK_EQ(bench.packets().size(), 65u);
}

TEST(largest_packets) {
  Bench bench;
  Model m = head(true, 6, 65535 - 20 - 12);  // 40 bytes more than a slot takes
  CHECK_EQ(bench.push(m), Coalesce::kTooLarge);
  m = head(true, 4, 65535 - 40 - 12);
  CHECK_EQ(bench.push(m), Coalesce::kHeld);
  bench.push(after(m, 1));
  CHECK_EQ(bench.flushed(FlushCause::kFull), 1u);
}

TEST(switches) {
  Bench bench(true, false);
  CHECK_EQ(bench.push(head(false)), Coalesce::kDisabled);
  CHECK_EQ(bench.push(head(true)), Coalesce::kHeld);
  bench.flush();
  bench.coalescer.configure(false, true);
  CHECK_EQ(bench.push(head(false)), Coalesce::kHeld);
  CHECK_EQ(bench.push(head(true)), Coalesce::kDisabled);
}

TEST(oldest_flow_is_evicted) {
  Bench bench;
  std::vector<Bytes> in;
  Model m = head();
  for (size_t i = 0; i <= Coalescer::kSlots; ++i) {
    ++m.sport;
    in.push_back(build(m));
    bench.push(in.back());
  }
  CHECK_EQ(bench.frames.size(), 1u);
  CHECK_EQ(bench.flushed(FlushCause::kEvicted), 1u);
  bench.flush();
  CHECK(bench.packets() == in);
}

TEST(flows_are_told_apart_without_the_hash) {
  const auto same = [](const Model& a, const Model& b) {
    const Bytes x = build(a), y = build(b);
    IpPacket x_ip, y_ip;
    const ConstView x_view(x.data(), x.size()), y_view(y.data(), y.size());
    CHECK(parse_ip(x_view, &x_ip) == IpError::kNone && parse_ip(y_view, &y_ip) == IpError::kNone);
    return same_flow(x_view, x_ip, y_view, y_ip);
  };
  const Model m = head();
  CHECK(same(m, after(m)));
  const std::function<void(Model&)> changes[] = {
      [](Model& n) { ++n.sport; },  [](Model& n) { ++n.dport; },      [](Model& n) { ++n.src[3]; },
      [](Model& n) { ++n.dst[0]; }, [](Model& n) { n.tcp = false; },
      [](Model& n) { n = head(true, 6); },
  };
  for (const auto& change : changes) {
    Model other = m;
    change(other);
    CHECK(!same(m, other));
  }
}

TEST(every_part_of_the_flow_key_counts) {
  const std::function<void(Model&)> changes[] = {
      [](Model& m) { ++m.sport; }, [](Model& m) { ++m.dport; }, [](Model& m) { ++m.src[3]; },
      [](Model& m) { ++m.dst[0]; }, [](Model& m) { m.tcp = false; },
  };
  for (const auto& change : changes) {
    Bench bench;
    Model m = head();
    bench.push(m);
    change(m);
    CHECK_EQ(bench.push(m), Coalesce::kHeld);
    CHECK(bench.frames.empty());
  }
}
