// What a TCP connection takes, and how much may wait for it.
#include "dataplane/stream_room.h"

#include "support/check.h"

using namespace ocvpn::test;
using ocvpn::dataplane::StreamRoom;

namespace {

constexpr uint64_t kStart = 5000000000;
constexpr size_t kMega = 1000000;

}  // namespace

TEST(a_batch_is_what_the_socket_took_at_once) {
  StreamRoom room;
  CHECK_EQ(room.batch(), StreamRoom::kMostBatch);
  room.note(50000, false, kStart);
  CHECK_EQ(room.batch(), 50000u);
  room.note(0, false, kStart);
  CHECK_EQ(room.batch(), StreamRoom::kLeastBatch);
  room.note(kMega, false, kStart);
  CHECK_EQ(room.batch(), StreamRoom::kMostBatch);
}

TEST(a_batch_grows_again_while_the_socket_takes_all) {
  StreamRoom room;
  room.note(20000, false, kStart);
  room.note(100, true, kStart);
  CHECK_EQ(room.batch(), 40000u);
  for (int i = 0; i < 10; ++i) room.note(100, true, kStart);
  CHECK_EQ(room.batch(), StreamRoom::kMostBatch);
}

TEST(what_may_wait_is_what_a_quarter_of_a_second_takes) {
  StreamRoom room;
  CHECK(!room.drops(StreamRoom::kLeastQueue, false, kStart));
  CHECK(room.drops(StreamRoom::kLeastQueue + 1, false, kStart));
  room.note(kMega, true, kStart);
  CHECK(!room.drops(kMega, false, kStart));
  CHECK(room.drops(kMega + 1, false, kStart));
  const uint64_t second = kStart + StreamRoom::kPeriodNs;
  room.note(3 * kMega, true, second);
  CHECK(!room.drops(4 * kMega, false, second));
  CHECK(room.drops(4 * kMega + 1, false, second));
  const uint64_t third = second + StreamRoom::kPeriodNs;
  CHECK(!room.drops(3 * kMega, false, third));
  CHECK(room.drops(3 * kMega + 1, false, third));
}

TEST(a_fast_line_loses_nothing_because_the_queue_is_full) {
  StreamRoom room;
  CHECK(room.drops(1000, true, kStart));
  room.note(StreamRoom::kFastQueue - 1, true, kStart);
  CHECK(room.drops(1000, true, kStart));
  room.note(1, true, kStart);
  CHECK(!room.drops(1000, true, kStart));
}

TEST(the_socket_may_hold_what_it_takes_in_two_milliseconds) {
  StreamRoom room;
  CHECK_EQ(room.unsent_bytes(), StreamRoom::kLeastUnsent);
  // 20 Mbit/s, 1 Gbit/s, 100 Gbit/s, a silence.
  const size_t rates[] = {2500000, 125000000, 12500000000, 0};
  const uint32_t expected[] = {StreamRoom::kLeastUnsent, 256 * 1024, StreamRoom::kMostUnsent, StreamRoom::kLeastUnsent};
  uint64_t now = kStart;
  room.note(0, true, now);
  for (int i = 0; i < 4; ++i) {
    room.note(rates[i] / 8, true, now);
    now += StreamRoom::kPeriodNs;
    room.note(0, true, now);
    CHECK_EQ(room.unsent_bytes(), expected[i]);
  }
}

TEST(a_silence_forgets_what_was_taken) {
  StreamRoom room;
  room.note(kMega, true, kStart);
  CHECK(room.drops(StreamRoom::kLeastQueue + 1, false, kStart + 2 * StreamRoom::kPeriodNs));
}
