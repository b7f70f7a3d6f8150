// When turns of the loop are delayed, and by how much.
#include "dataplane/turn_pace.h"

#include "support/check.h"

using namespace ocvpn::test;
using ocvpn::dataplane::TurnPace;

namespace {

constexpr uint64_t kStart = 5000000000;
constexpr uint64_t kMicrosecond = 1000;

void packets(TurnPace& pace, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) pace.note_packet();
}

/** Turns of one packet, one every `gap_ns`, each of no duration, for 20 ms. The longest pause asked for. */
uint64_t longest_pause(uint64_t gap_ns) {
  TurnPace pace;
  uint64_t longest = 0;
  for (uint64_t now = kStart; now < kStart + 20 * TurnPace::kWindowNs; now += gap_ns) {
    pace.begin_turn(now);
    pace.note_packet();
    if (pace.pause_ns(now) > longest) longest = pace.pause_ns(now);
  }
  return longest;
}

}  // namespace

TEST(a_new_loop_does_not_pause) {
  TurnPace pace;
  pace.begin_turn(kStart);
  CHECK_EQ(pace.pause_ns(kStart), 0u);
}

TEST(few_packets_are_never_delayed) {
  CHECK_EQ(longest_pause(10 * TurnPace::kWindowNs), 0u);
  CHECK_EQ(longest_pause(TurnPace::kWindowNs), 0u);
  CHECK_EQ(longest_pause(TurnPace::kWindowNs / (TurnPace::kBusyPackets - 2)), 0u);
}

TEST(many_packets_wait_one_period) {
  CHECK_EQ(longest_pause(TurnPace::kWindowNs / (2 * TurnPace::kBusyPackets)), TurnPace::kPeriodNs);
}

TEST(a_turn_and_its_pause_are_one_period) {
  TurnPace pace;
  pace.begin_turn(kStart);
  packets(pace, TurnPace::kBusyPackets);
  CHECK_EQ(pace.pause_ns(kStart + 30 * kMicrosecond), TurnPace::kPeriodNs - 30 * kMicrosecond);
  CHECK_EQ(pace.pause_ns(kStart + TurnPace::kPeriodNs), 0u);
  CHECK_EQ(pace.pause_ns(kStart + 10 * TurnPace::kPeriodNs), 0u);
}

TEST(a_full_turn_is_followed_by_the_next_at_once) {
  TurnPace pace;
  pace.begin_turn(kStart);
  packets(pace, TurnPace::kFullTurn - 1);
  CHECK_EQ(pace.pause_ns(kStart), TurnPace::kPeriodNs);
  packets(pace, 1);
  CHECK_EQ(pace.pause_ns(kStart), 0u);
  pace.begin_turn(kStart + kMicrosecond);
  CHECK_EQ(pace.pause_ns(kStart + kMicrosecond), TurnPace::kPeriodNs);
}

TEST(a_late_end_of_a_pause_stops_pausing_for_a_while) {
  TurnPace pace;
  pace.begin_turn(kStart);
  packets(pace, TurnPace::kBusyPackets);
  pace.end_pause(kStart, kStart + TurnPace::kLateNs);
  CHECK_EQ(pace.pause_ns(kStart), TurnPace::kPeriodNs);
  pace.end_pause(kStart, kStart + TurnPace::kLateNs + 1);
  CHECK_EQ(pace.pause_ns(kStart), 0u);
  uint64_t later = kStart + TurnPace::kLateNs + 1 + TurnPace::kBackOffNs;
  pace.begin_turn(later);
  packets(pace, TurnPace::kBusyPackets);
  CHECK_EQ(pace.pause_ns(later), TurnPace::kPeriodNs);
}

TEST(the_window_before_counts_too) {
  TurnPace pace;
  pace.begin_turn(kStart);
  packets(pace, 100);
  uint64_t next = kStart + TurnPace::kWindowNs;
  pace.begin_turn(next);
  CHECK_EQ(pace.pause_ns(next), TurnPace::kPeriodNs);
  // A window with little in it ends the pace.
  packets(pace, TurnPace::kBusyPackets - 1);
  next += TurnPace::kWindowNs;
  pace.begin_turn(next);
  CHECK_EQ(pace.pause_ns(next), 0u);
}

TEST(a_burst_before_a_silence_does_not_delay_what_follows) {
  TurnPace pace;
  pace.begin_turn(kStart);
  packets(pace, 1000);
  uint64_t later = kStart + 1000 * TurnPace::kWindowNs;
  pace.begin_turn(later);
  CHECK_EQ(pace.pause_ns(later), 0u);
}
