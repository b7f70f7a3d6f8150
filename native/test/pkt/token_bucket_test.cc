#include "pkt/token_bucket.h"

#include "support/check.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {
constexpr uint64_t kSecond = 1000000000;
}

TEST(unlimited) {
  TokenBucket bucket(0, 1, 0);
  CHECK(bucket.unlimited());
  for (int i = 0; i < 100; ++i) CHECK(bucket.take(65535, 0));
  CHECK_EQ(bucket.wait_ns(0), 0u);
}

TEST(burst_then_rate) {
  TokenBucket bucket(1000, 3000, 0);
  CHECK(bucket.take(1000, 0) && bucket.take(1000, 0) && bucket.take(1000, 0));
  CHECK(!bucket.take(1, 0));
  CHECK(!bucket.take(1, 999999));          // 1 ms less 1 ns: not one byte yet
  CHECK(bucket.take(1, 1000000));
  CHECK(!bucket.take(1, 1000000));
}

TEST(one_packet_may_go_into_debt) {
  TokenBucket bucket(1000, 100, 0);
  CHECK(bucket.take(1100, 0));             // balance -1000
  CHECK(!bucket.take(1, kSecond));         // balance 0
  CHECK_EQ(bucket.wait_ns(kSecond), 1000000u);
  CHECK(bucket.take(1, kSecond + 1000000));
}

TEST(what_is_owed_is_taken_in_any_case_and_paid_for) {
  TokenBucket bucket(1000, 100, 0);
  bucket.owe(600, 0);  // balance -500
  bucket.owe(500, 0);  // balance -1000
  CHECK(!bucket.take(1, kSecond));
  CHECK(bucket.take(1, kSecond + 1000000));
  for (int i = 0; i < 10; ++i) bucket.owe(~uint64_t{0}, kSecond);
  CHECK(!bucket.take(1, 1000 * kSecond));
  TokenBucket unlimited(0, 100, 0);
  unlimited.owe(1000, 0);
  CHECK(unlimited.take(1, 0));
}

TEST(a_pause_fills_up_to_the_burst_only) {
  TokenBucket bucket(1000, 2000, 0);
  CHECK(bucket.take(2000, 0));
  uint64_t now = 3600 * kSecond;
  CHECK(bucket.take(2000, now));
  CHECK(!bucket.take(1, now));
  now = ~uint64_t{0};                      // centuries
  CHECK(bucket.take(2000, now));
  CHECK(!bucket.take(1, now));
}

TEST(clock_that_goes_back_gives_nothing) {
  TokenBucket bucket(1000, 10, 5 * kSecond);
  CHECK(bucket.take(10, 5 * kSecond));
  CHECK(!bucket.take(1, 0));
  CHECK(bucket.take(1, 5 * kSecond + 1000000));
}

TEST(extremes_do_not_overflow) {
  TokenBucket bucket(~uint64_t{0}, ~uint64_t{0}, 0);
  CHECK(bucket.take(~uint64_t{0}, 0));
  CHECK(!bucket.take(1, 0));
  CHECK(bucket.wait_ns(0) > 0);
  CHECK(bucket.take(1, kSecond));
  constexpr uint64_t kFastest = uint64_t{1} << 33;
  TokenBucket paused(kFastest, 1000, 0);
  CHECK(paused.take(2000, 0));
  CHECK(paused.take(1000, (uint64_t{1} << 31) * kSecond));  // pause times rate is 2^64
  TokenBucket slow(1, 0, 0);
  CHECK(slow.take(~uint64_t{0}, 0));
  CHECK(slow.wait_ns(0) > kSecond);
  CHECK(!slow.take(1, 1000 * kSecond));
}

TEST(rate_holds_in_the_long_run) {
  Random random(seed());
  for (int round = 0; round < 50; ++round) {
    const uint64_t rate = random.between(1, 200000000);
    const uint64_t burst = random.between(1, 100000);
    uint64_t now = random.next() >> 1;
    const uint64_t start = now;
    TokenBucket bucket(rate, burst, now);
    uint64_t passed = 0;
    for (int i = 0; i < 2000; ++i) {
      // An eager sender that waits exactly as long as it is told.
      const uint64_t wait = bucket.wait_ns(now);
      if (wait > 1) CHECK(!bucket.take(1, now + wait - 1));
      now += wait;
      const uint64_t bytes = random.between(1, 1500);
      if (!CHECK(bucket.take(bytes, now))) return;
      passed += bytes;
    }
    const long double earned = static_cast<long double>(now - start) * rate / kSecond;
    CHECK(passed <= earned + burst + 1500);
    CHECK(passed + 1500 >= earned);  // and it is not slower either
  }
}
