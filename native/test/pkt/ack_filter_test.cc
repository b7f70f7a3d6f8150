// Which pure ACKs of a burst are dropped for a later one, and which never are.
#include <functional>

#include "pkt/coalesce_bench.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

/** A pure ACK with timestamps. */
Model ack_of(int version = 4) {
  Model m = head(true, version, 0);
  m.tcp_options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
  m.reserved = 0;
  return m;
}

Model later(const Model& m, uint32_t more = 2800) {
  Model next = m;
  next.ack += more;
  next.window = static_cast<uint16_t>(next.window ^ 1);
  if (next.tcp_options.size() == 12) ++next.tcp_options[7];
  ++next.id;
  return next;
}

/** Two ACKs, the second changed: both must arrive as they were, in order. */
void check_both_stay(const std::function<void(Model&, Model&)>& change, int version = 4) {
  Bench bench;
  bench.coalescer.configure(true, true, true);
  Model first = ack_of(version);
  Model second = later(first);
  change(first, second);
  bench.push(first);
  bench.push(second);
  bench.flush();
  CHECK(bench.packets() == std::vector<Bytes>({build(first), build(second)}));
  CHECK_EQ(bench.coalescer.counters().superseded, 0u);
}

}  // namespace

TEST(a_later_ack_takes_the_place_of_the_one_before) {
  for (const int version : {4, 6}) {
    for (const uint32_t start : {1u, 0xfffffff0u}) {  // around the end of the numbers too
      Bench bench;
      bench.coalescer.configure(true, true, true);
      Model ack = ack_of(version);
      ack.ack = start;
      CHECK_EQ(bench.push(ack), Coalesce::kHeld);
      for (int i = 0; i < 5; ++i) CHECK_EQ(bench.push(ack = later(ack)), Coalesce::kSuperseding);
      CHECK(bench.frames.empty());
      bench.flush();
      CHECK(bench.packets() == std::vector<Bytes>({build(ack)}));
      CHECK_EQ(bench.coalescer.counters().superseded, 5u);
    }
  }
}

TEST(acks_stay_as_they_are_unless_they_are_thinned) {
  Bench bench;
  Model ack = ack_of();
  CHECK_EQ(bench.push(ack), Coalesce::kNoPayload);
  CHECK_EQ(bench.push(later(ack)), Coalesce::kNoPayload);
  CHECK_EQ(bench.frames.size(), 2u);
}

TEST(one_ack_of_eight_goes_on_at_least) {
  Bench bench;
  bench.coalescer.configure(true, true, true);
  Model ack = ack_of();
  std::vector<Bytes> expected;
  for (size_t i = 1; i <= 3 * Coalescer::kMaxAcks; ++i) {
    bench.push(ack);
    if (i % Coalescer::kMaxAcks == 0) expected.push_back(build(ack));
    ack = later(ack);
  }
  bench.flush();
  CHECK(bench.packets() == expected);
}

TEST(acks_that_say_something_of_their_own_stay) {
  for (const int version : {4, 6}) {
    check_both_stay([](Model& a, Model& b) { b.ack = a.ack; }, version);           // duplicate, window update
    check_both_stay([](Model& a, Model& b) { b.ack = a.ack - 1; }, version);       // older
    check_both_stay([](Model&, Model& b) { b.seq -= 1; }, version);                // keepalive
    check_both_stay([](Model&, Model& b) { b.tos ^= 3; }, version);                // ECN
    check_both_stay([](Model&, Model& b) { b.ttl ^= 1; }, version);
    check_both_stay([](Model&, Model& b) { b.tcp_options.clear(); }, version);
    check_both_stay([](Model&, Model& b) { b.payload = Bytes(10, 1); }, version);  // data behind the ACK
    for (const uint8_t flags : {0x11, 0x12, 0x14, 0x18, 0x30, 0x50, 0x90}) {
      check_both_stay([flags](Model&, Model& b) { b.flags = flags; }, version);
      check_both_stay([flags](Model& a, Model&) { a.flags = flags; }, version);
    }
    check_both_stay([](Model& a, Model& b) { a.reserved = b.reserved = 1; }, version);  // AccECN
    // SACK, also in front of timestamps of the same length
    const Bytes sack = {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    check_both_stay([&](Model& a, Model&) { a.tcp_options = sack; }, version);
    check_both_stay([&](Model&, Model& b) { b.tcp_options = sack; }, version);
  }
}

TEST(a_damaged_ack_drops_no_good_one) {
  Bench bench;
  bench.coalescer.configure(true, true, true);
  const Model first = ack_of();
  Bytes damaged = build(later(first));
  damaged.back() ^= 1;
  bench.push(first);
  bench.push(damaged);
  bench.flush();
  CHECK(bench.packets() == std::vector<Bytes>({build(first), damaged}));
}

TEST(acks_and_data_of_a_flow_keep_their_order) {
  Bench bench;
  bench.coalescer.configure(true, true, true);
  Model ack = ack_of();
  Model data = ack;
  data.payload = Bytes(100, 7);
  Model last = later(ack);
  last.seq += 100;
  for (const Model& m : {ack, data, last}) bench.push(m);
  bench.flush();
  CHECK(bench.packets() == std::vector<Bytes>({build(ack), build(data), build(last)}));
}
