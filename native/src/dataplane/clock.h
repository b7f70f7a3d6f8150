// The loop's clock: CLOCK_MONOTONIC, optionally faster so that tests see minutes pass in seconds.
#pragma once

#include <time.h>

#include <cstdint>

namespace ocvpn::dataplane {

class Clock {
 public:
  // `rate`: loop seconds per real second, at least 1.
  explicit Clock(uint32_t rate = 1) : rate_(rate == 0 ? 1 : rate), base_ns_(monotonic_ns()) {}

  uint64_t now_ns() const { return base_ns_ + (monotonic_ns() - base_ns_) * rate_; }
  uint64_t now_ms() const { return now_ns() / 1000000; }
  // Real milliseconds until `loop_ms` of the loop's time have passed, rounded up.
  int64_t to_real_ms(int64_t loop_ms) const { return loop_ms <= 0 ? loop_ms : (loop_ms + rate_ - 1) / rate_; }
  uint64_t to_real_ns(uint64_t loop_ns) const { return (loop_ns + rate_ - 1) / rate_; }
  int64_t to_loop_ms(int64_t real_ms) const { return real_ms * rate_; }
  // Sleeps for so many nanoseconds of the loop's time; a signal may end it early.
  void sleep(uint64_t loop_ns) const {
    const uint64_t ns = loop_ns / rate_;
    if (ns == 0) return;
    const timespec time{static_cast<time_t>(ns / 1000000000u), static_cast<long>(ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  }

 private:
  static uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
  }

  uint32_t rate_;
  uint64_t base_ns_;
};

}  // namespace ocvpn::dataplane
