// How many datagrams of a burst leave before the next ones wait.
#include "dataplane/send_pace.h"

#include "support/check.h"

using namespace ocvpn::test;
using ocvpn::dataplane::SendPace;

namespace {

constexpr uint64_t kStart = 5000000000;
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kSuperPacket = 47;  // datagrams of a read of 64 KiB

void send(SendPace& pace, uint64_t datagrams, uint64_t now) {
  for (uint64_t i = 0; i < datagrams; ++i) pace.note_sent(now);
}

/** Holds until the pace has room; the time afterwards. */
uint64_t wait(SendPace& pace, uint64_t now) {
  for (int holds = 0; pace.full(now); ++holds) {
    if (!CHECK(holds < 1000)) break;
    now += SendPace::kHoldNs;
  }
  return now;
}

/** Super-packets one after the other for so long, each as soon as it may. Datagrams sent. */
uint64_t flood(SendPace& pace, uint64_t now, uint64_t duration, uint64_t work) {
  uint64_t sent = 0;
  for (const uint64_t end = now + duration; now < end; now = wait(pace, now) + work) {
    send(pace, kSuperPacket, now);
    sent += kSuperPacket;
  }
  return sent;
}

}  // namespace

TEST(a_few_packets_never_wait) {
  SendPace pace;
  for (uint64_t now = kStart; now < kStart + 100 * kMillisecond; now += kMillisecond) {
    send(pace, 3, now);
    CHECK(!pace.full(now));
  }
}

TEST(a_super_packet_lets_the_next_one_wait_until_it_has_passed) {
  SendPace pace;
  send(pace, kSuperPacket, kStart);
  CHECK(pace.full(kStart));
  const uint64_t waited = wait(pace, kStart) - kStart;
  // At the least rate: twice kLeast datagrams a window.
  const uint64_t passes = kSuperPacket - SendPace::kRoom;
  CHECK(waited >= passes * SendPace::kWindowNs / SendPace::kLeast / 2);
  CHECK(waited <= kMillisecond);
}

TEST(what_was_sent_long_ago_does_not_count) {
  SendPace pace;
  send(pace, 500, kStart);
  CHECK(pace.full(kStart));
  CHECK(!pace.full(kStart + 1000 * kMillisecond));
  send(pace, 3, kStart + 1001 * kMillisecond);
  CHECK(!pace.full(kStart + 1001 * kMillisecond));
}

TEST(a_burst_after_a_silence_waits_like_the_first) {
  SendPace pace;
  flood(pace, kStart, 50 * kMillisecond, 10000);
  const uint64_t later = kStart + 1000 * kMillisecond;
  send(pace, kSuperPacket, later);
  CHECK(pace.full(later));
}

TEST(the_rate_is_no_limit) {
  SendPace pace;
  // 20 us of work for a super-packet: 2,350 datagrams a millisecond if nothing held them.
  flood(pace, kStart, 60 * kMillisecond, 20000);
  CHECK(flood(pace, kStart + 60 * kMillisecond, 10 * kMillisecond, 20000) >= 20000);
}

TEST(a_client_that_takes_much_is_not_held) {
  SendPace pace;
  uint64_t now = kStart;
  // 470 datagrams a millisecond, 5 Gbit/s.
  for (; now < kStart + 100 * kMillisecond; now += kMillisecond / 10) send(pace, kSuperPacket, now);
  for (int i = 0; i < 100; ++i, now += kMillisecond / 10) {
    send(pace, kSuperPacket, now);
    CHECK(!pace.full(now));
  }
}
