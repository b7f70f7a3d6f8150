// How much of a burst leaves before the next ones wait.
#include "dataplane/send_pace.h"

#include <algorithm>

#include "support/check.h"

using namespace ocvpn::test;
using ocvpn::dataplane::SendPace;

namespace {

constexpr uint64_t kStart = 5000000000;
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kSuperPacket = 47;  // packets of a read of 64 KiB
constexpr uint64_t kPacket = 1400;

void send(SendPace& pace, uint64_t packets, uint64_t now, size_t bytes = kPacket) {
  for (uint64_t i = 0; i < packets; ++i) pace.note_sent(bytes, now);
}

bool full(SendPace& pace, uint64_t now) { return pace.wait_ns(now) > 0; }

/** Holds until the pace has room; the time afterwards. */
uint64_t wait(SendPace& pace, uint64_t now) {
  for (int holds = 0; full(pace, now); ++holds) {
    if (!CHECK(holds < 1000)) break;
    now += pace.wait_ns(now);
  }
  return now;
}

/** Super-packets one after the other for so long, each as soon as it may. Packets sent. */
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
    CHECK(!full(pace, now));
  }
}

TEST(small_packets_never_wait) {
  SendPace pace;
  for (uint64_t now = kStart; now < kStart + 100 * kMillisecond; now += kMillisecond) {
    send(pace, 40, now, 200);
    CHECK(!full(pace, now));
  }
}

TEST(a_super_packet_lets_the_next_one_wait_until_it_has_passed) {
  SendPace pace;
  send(pace, kSuperPacket, kStart);
  CHECK(full(pace, kStart));
  const uint64_t waited = wait(pace, kStart) - kStart;
  // At the least rate: kLeakTenths / 10 times kLeast a window.
  const uint64_t passes = kSuperPacket * kPacket - SendPace::kRoom;
  const uint64_t passed = passes * 10 * SendPace::kWindowNs / (SendPace::kLeast * SendPace::kLeakTenths);
  CHECK(waited >= passed);
  CHECK(waited <= passed + SendPace::kHoldNs);
}

TEST(what_was_sent_long_ago_does_not_count) {
  SendPace pace;
  send(pace, 500, kStart);
  CHECK(full(pace, kStart));
  CHECK(!full(pace, kStart + 1000 * kMillisecond));
  send(pace, 3, kStart + 1001 * kMillisecond);
  CHECK(!full(pace, kStart + 1001 * kMillisecond));
}

TEST(a_burst_after_a_silence_waits_like_the_first) {
  SendPace pace;
  flood(pace, kStart, 50 * kMillisecond, 10000);
  const uint64_t later = kStart + 1000 * kMillisecond;
  send(pace, kSuperPacket, later);
  CHECK(full(pace, later));
}

TEST(the_rate_is_no_limit) {
  SendPace pace;
  // 20 us of work for a super-packet: 2,350 packets a millisecond if nothing held them.
  flood(pace, kStart, 60 * kMillisecond, 20000);
  CHECK(flood(pace, kStart + 60 * kMillisecond, 10 * kMillisecond, 20000) >= 20000);
}

TEST(a_hold_that_ends_late_is_the_last_for_a_while) {
  SendPace pace;
  const uint64_t due = kStart + SendPace::kHoldNs;
  const uint64_t in_time = due + SendPace::kLateNs;
  send(pace, 300, kStart);
  pace.end_hold(due, in_time);
  CHECK(full(pace, in_time));
  pace.end_hold(due, in_time + 1);
  CHECK(!full(pace, in_time + 1));
  const uint64_t later = in_time + 1 + SendPace::kBackOffNs;
  send(pace, 300, later);
  CHECK(full(pace, later));
}

TEST(a_client_that_takes_much_is_not_held) {
  SendPace pace;
  uint64_t now = kStart;
  // 470 packets a millisecond, 5 Gbit/s.
  for (; now < kStart + 100 * kMillisecond; now += kMillisecond / 10) send(pace, kSuperPacket, now);
  for (int i = 0; i < 100; ++i, now += kMillisecond / 10) {
    send(pace, kSuperPacket, now);
    CHECK(!full(pace, now));
  }
}
