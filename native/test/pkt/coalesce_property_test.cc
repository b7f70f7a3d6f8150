// Whatever a client sends, what the kernel makes of our frames is what came in: every packet once, byte for byte, in
// the order of its flow.
#include "pkt/coalesce.h"
#include "pkt/segment.h"
#include "support/flows.h"
#include "support/kernel.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

/** A sender that mostly streams and now and then does everything that a rule of coalesce.h is about. */
class Sender {
 public:
  Sender(Random& random, int version, bool tcp) : random_(random), m_(random_model(random, version, tcp, 0, true)) {
    mss_ = random.between(100, 1400);
    m_.flags = 0x10;
  }

  Bytes next() {
    m_.payload = random_.bytes(random_.one_in(8) ? random_.between(0, mss_) : mss_);
    const Model sent = disturbed();
    m_.seq += static_cast<uint32_t>(m_.payload.size());
    m_.id = static_cast<uint16_t>(m_.id + (random_.one_in(12) ? random_.below(3) : 1));
    Bytes packet = build(sent);
    if (random_.one_in(15)) {
      packet[random_.between(sent.ip_header(), packet.size() - 1)] ^= static_cast<uint8_t>(1 << random_.below(8));
    }
    if (random_.one_in(40)) fragment(packet);
    return packet;
  }

 private:
  /** The packet to send now; lasting changes stay in m_. */
  Model disturbed() {
    if (random_.one_in(20)) m_.ack += 1;
    if (random_.one_in(20)) m_.window ^= 0x100;
    if (random_.one_in(20)) m_.tos ^= 1;
    if (random_.one_in(30)) m_.df = !m_.df;
    if (random_.one_in(30)) m_.flags ^= 0x40;
    if (random_.one_in(40) && !m_.tcp_options.empty()) m_.tcp_options[0] ^= 1;
    if (random_.one_in(40)) mss_ = random_.between(100, 1400);
    if (random_.one_in(40)) m_.seq -= static_cast<uint32_t>(random_.below(3000));  // retransmission
    if (random_.one_in(40)) m_.flow_label ^= 1;
    Model sent = m_;
    if (random_.one_in(10)) sent.flags |= 8;
    if (random_.one_in(20)) sent.flags ^= static_cast<uint8_t>(1 << random_.below(8));
    if (random_.one_in(30)) sent.ip_options = Bytes(4, 1);
    if (random_.one_in(30)) sent.extensions = {{60, Bytes(8)}};
    if (random_.one_in(30)) sent.udp_no_checksum = true;
    return sent;
  }

  void fragment(Bytes& packet) {
    if (packet[0] >> 4 != 4) return;
    packet[6] |= 0x20;
    if (random_.one_in(2)) packet[7] = 3;
  }

  Random& random_;
  Model m_;
  size_t mss_;
};

void check_flows(const Flows& got, const Flows& expected) {
  CHECK_EQ(got.size(), expected.size());
  for (const auto& [key, list] : expected) {
    const auto found = got.find(key);
    if (!CHECK(found != got.end()) || !CHECK_EQ(found->second.size(), list.size())) continue;
    for (size_t i = 0; i < list.size(); ++i) {
      if (!CHECK_EQ(found->second[i], list[i])) break;
    }
  }
}

struct Collect {
  std::vector<Bytes> packets;
  size_t frames = 0;
  void operator()(ConstView view) {
    ++frames;
    const Expanded expanded = expand(Bytes(view.data(), view.data() + view.size()));
    CHECK(expanded.valid);
    packets.insert(packets.end(), expanded.packets.begin(), expanded.packets.end());
  }
};

void push(Coalescer& coalescer, const Bytes& packet, Collect& out) {
  Bytes frame = concat(Bytes(kVnetHeaderSize), packet);
  IpPacket ip;
  if (!CHECK_EQ(parse_ip({packet.data(), packet.size()}, &ip), IpError::kNone)) return;
  coalescer.push({frame.data(), frame.size()}, ip, out);
}

/** Pushes the packet from `at`, or from anywhere, and keeps the frames that come out. */
void keep(Coalescer& coalescer, uint8_t* at, const Bytes& packet, std::vector<Bytes>& frames) {
  Bytes elsewhere(kVnetHeaderSize + packet.size());
  if (at == nullptr) at = elsewhere.data() + kVnetHeaderSize;
  std::memcpy(at, packet.data(), packet.size());
  IpPacket ip;
  if (!CHECK_EQ(parse_ip({packet.data(), packet.size()}, &ip), IpError::kNone)) return;
  const auto sink = [&](ConstView view) { frames.emplace_back(view.data(), view.data() + view.size()); };
  coalescer.push({at - kVnetHeaderSize, kVnetHeaderSize + packet.size()}, ip, sink);
}

}  // namespace

TEST(coalescing_loses_and_reorders_nothing) {
  Random random(seed());
  Coalescer coalescer(true, true);
  size_t packets = 0;
  size_t frames = 0;
  for (int round = 0; round < 300; ++round) {
    coalescer.configure(!random.one_in(8), !random.one_in(3));
    std::vector<Sender> senders;
    for (uint64_t i = random.between(1, 12); i > 0; --i) {
      senders.emplace_back(random, random.one_in(2) ? 4 : 6, !random.one_in(3));
    }
    std::vector<Bytes> in;
    Collect out;
    size_t current = 0;
    for (uint64_t i = random.between(1, 150); i > 0; --i) {
      if (random.one_in(4)) current = random.below(senders.size());
      in.push_back(senders[current].next());
      push(coalescer, in.back(), out);
    }
    coalescer.flush(out);
    CHECK(coalescer.empty());
    CHECK_EQ(out.packets.size(), in.size());
    check_flows(by_flow(out.packets), by_flow(in));
    packets += in.size();
    frames += out.frames;
  }
  CHECK(frames < packets);  // the property holds for a coalescer that does nothing, too
}

TEST(a_packet_at_the_landing_is_the_same_as_one_elsewhere) {
  Random random(seed());
  Coalescer plain(true, true);
  Coalescer landing(true, true);
  uint64_t landed = 0;
  for (int round = 0; round < 300; ++round) {
    const bool acks = random.one_in(2);
    plain.configure(true, true, acks);
    landing.configure(true, true, acks);
    const size_t front = random.one_in(2) ? 1 : 8;
    std::vector<Sender> senders;
    for (uint64_t i = random.between(1, 3); i > 0; --i) {
      senders.emplace_back(random, random.one_in(2) ? 4 : 6, !random.one_in(3));
    }
    std::vector<Bytes> expected;
    std::vector<Bytes> got;
    size_t current = 0;
    for (uint64_t i = random.between(1, 150); i > 0; --i) {
      if (random.one_in(20)) current = random.below(senders.size());
      const Bytes packet = senders[current].next();
      keep(plain, nullptr, packet, expected);
      uint8_t* room = random.one_in(10) ? nullptr : landing.landing(front);
      if (room != nullptr) {
        const Bytes record = random.bytes(random.between(front, Coalescer::kLandingRoom));
        std::memcpy(room, record.data(), record.size());
        landed += 1;
      }
      if (room != nullptr && random.one_in(20)) room = nullptr;  // it was no packet
      if (room != nullptr && random.one_in(20)) room = landing.landing(front);  // nor the one before
      keep(landing, room == nullptr ? nullptr : room + front, packet, got);
      if (!CHECK_EQ(got.size(), expected.size())) return;
    }
    const auto into = [](std::vector<Bytes>& frames) {
      return [&frames](ConstView view) { frames.emplace_back(view.data(), view.data() + view.size()); };
    };
    const auto plain_sink = into(expected);
    const auto landing_sink = into(got);
    plain.flush(plain_sink);
    landing.flush(landing_sink);
    CHECK(got == expected);
  }
  CHECK(landed > 1000);
}

TEST(coalescing_undoes_segmentation) {
  Random random(seed());
  Coalescer coalescer(true, true);
  for (int round = 0; round < 500; ++round) {
    const bool tcp = random.one_in(2);
    const size_t mss = random.between(100, 1400);
    const size_t payload = random.between(mss + 1, tcp ? 60000 : (mss * 64 < 60000 ? mss * 64 : 60000));
    Model m = random_model(random, random.one_in(2) ? 4 : 6, tcp, payload, true);
    m.flags = random.one_in(2) ? 0x10 : 0x18;
    if (payload % mss == 0) m.flags = 0x10;
    const Bytes original = model_super_frame(m, mss);
    Bytes frame = original;
    Segmenter segmenter;
    REQUIRE(segmenter.begin({frame.data(), frame.size()}, kMaxPacketSize) == SegmentResult::kOk);
    std::vector<Bytes> frames;
    auto sink = [&](ConstView view) { frames.emplace_back(view.data(), view.data() + view.size()); };
    MutView packet;
    while (segmenter.next(&packet)) {
      Bytes copy = concat(Bytes(kVnetHeaderSize), Bytes(packet.data(), packet.data() + packet.size()));
      IpPacket ip;
      REQUIRE(parse_ip(packet, &ip) == IpError::kNone);
      coalescer.push({copy.data(), copy.size()}, ip, sink);
    }
    coalescer.flush(sink);
    REQUIRE(CHECK_EQ(frames.size(), 1u));
    CHECK_EQ(frames[0], original);
  }
}
