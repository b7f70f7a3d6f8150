#include "pkt/timer_wheel.h"

#include <algorithm>
#include <memory>

#include "support/check.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

TEST(fires_at_its_time_and_once) {
  TimerWheel wheel(1000);
  int owner = 0;
  Timer timer(&owner, 7);
  wheel.arm(timer, 1500);
  CHECK(timer.armed());
  CHECK_EQ(timer.deadline_ms(), 1500u);
  int fired = 0;
  const auto fire = [&](Timer& t) {
    CHECK(t.owner == &owner && t.kind == 7 && !t.armed());
    ++fired;
  };
  wheel.advance(1499, fire);
  CHECK_EQ(fired, 0);
  wheel.advance(1500, fire);
  CHECK_EQ(fired, 1);
  wheel.advance(100000, fire);
  CHECK_EQ(fired, 1);
  CHECK_EQ(wheel.next_ms(100000), -1);
}

TEST(past_deadline_is_the_next_millisecond) {
  TimerWheel wheel(1000);
  Timer timer;
  wheel.arm(timer, 5);
  CHECK_EQ(wheel.next_ms(1000), 1);
  int fired = 0;
  wheel.advance(1000, [&](Timer&) { ++fired; });
  CHECK_EQ(fired, 0);
  wheel.advance(1001, [&](Timer&) { ++fired; });
  CHECK_EQ(fired, 1);
}

TEST(cancelled_and_moved) {
  TimerWheel wheel(0);
  Timer a, b;
  wheel.arm(a, 10);
  wheel.arm(b, 10);
  wheel.cancel(a);
  wheel.cancel(a);
  CHECK_EQ(wheel.size(), 1u);
  wheel.arm(b, 1000000);
  wheel.arm(b, 20);
  int fired = 0;
  wheel.advance(19, [&](Timer&) { ++fired; });
  CHECK_EQ(fired, 0);
  wheel.advance(20, [&](Timer& t) { fired += &t == &b; });
  CHECK_EQ(fired, 1);
}

TEST(fire_may_cancel_rearm_and_destroy) {
  TimerWheel wheel(0);
  auto destroyed = std::make_unique<Timer>(nullptr, 1);
  Timer again(nullptr, 2), victim(nullptr, 3);
  wheel.arm(*destroyed, 10);
  wheel.arm(again, 10);
  wheel.arm(victim, 11);
  int rearmed = 0;
  wheel.advance(10, [&](Timer& t) {
    const uint32_t kind = t.kind;
    wheel.cancel(victim);
    if (kind == 1) destroyed.reset();
    if (kind == 2 && ++rearmed < 100) wheel.arm(again, 0);
  });
  CHECK(!destroyed && !victim.armed());
  CHECK_EQ(rearmed, 1);  // armed for the past: next millisecond, not an endless loop
  wheel.advance(12, [&](Timer&) { ++rearmed; });
  CHECK_EQ(rearmed, 2);
}

TEST(all_deadlines_of_64_bits) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    const uint64_t deadline = uint64_t{1} << bit;
    TimerWheel wheel(0);
    Timer timer;
    wheel.arm(timer, deadline);
    int fired = 0;
    wheel.advance(deadline - 1, [&](Timer&) { ++fired; });
    CHECK_EQ(fired, 0);
    wheel.advance(deadline, [&](Timer&) { ++fired; });
    CHECK_EQ(fired, 1);
  }
}

TEST(clock_that_goes_back_is_ignored) {
  TimerWheel wheel(1000);
  Timer timer;
  wheel.arm(timer, 1010);
  int fired = 0;
  wheel.advance(500, [&](Timer&) { ++fired; });
  CHECK_EQ(fired, 0);
  wheel.advance(1010, [&](Timer&) { ++fired; });
  CHECK_EQ(fired, 1);
}

TEST(wheel_disarms_what_is_left) {
  Timer timer;
  {
    TimerWheel wheel(0);
    wheel.arm(timer, 10);
  }
  CHECK(!timer.armed());
}

TEST(equals_a_sorted_list) {
  Random random(seed());
  for (int round = 0; round < 30; ++round) {
    uint64_t now = random.below(1000000);
    std::vector<std::unique_ptr<Timer>> timers;  // outlive the wheel, which disarms them
    TimerWheel wheel(now);
    for (uint32_t i = 0; i < 200; ++i) timers.push_back(std::make_unique<Timer>(nullptr, i));
    std::vector<uint64_t> due(timers.size(), 0);  // the model: deadline, 0 when not armed
    for (int step = 0; step < 300; ++step) {
      for (int i = 0; i < 5; ++i) {
        const size_t pick = random.below(timers.size());
        if (random.one_in(4)) {
          wheel.cancel(*timers[pick]);
          due[pick] = 0;
        } else {
          due[pick] = now + 1 + random.below(uint64_t{1} << random.between(1, 24));
          wheel.arm(*timers[pick], due[pick]);
        }
      }
      uint64_t earliest = 0;
      for (const uint64_t d : due) earliest = d != 0 && (earliest == 0 || d < earliest) ? d : earliest;
      const int64_t wait = wheel.next_ms(now);
      CHECK_EQ(wait == -1, earliest == 0);
      if (earliest != 0) CHECK(wait > 0 && static_cast<uint64_t>(wait) <= earliest - now);
      const bool exactly = random.one_in(2) && wait > 0;
      now += exactly ? static_cast<uint64_t>(wait) : random.below(uint64_t{1} << random.between(0, 22));
      uint64_t last = 0;
      wheel.advance(now, [&](Timer& t) {
        CHECK_EQ(due[t.kind], t.deadline_ms());
        CHECK(due[t.kind] != 0 && due[t.kind] <= now && due[t.kind] >= last);
        last = due[t.kind];
        due[t.kind] = 0;
      });
      for (const uint64_t d : due) CHECK(d == 0 || d > now);
      CHECK_EQ(wheel.size(), timers.size() - static_cast<size_t>(std::count(due.begin(), due.end(), uint64_t{0})));
    }
  }
}
