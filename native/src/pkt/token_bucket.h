// Rate limit in bytes per second.
#pragma once

#include <cstdint>

namespace ocvpn::pkt {

/**
 * Token bucket that may go into debt for one packet, so that a packet larger than the burst still passes and the rate
 * holds in the long run. The caller gives the clock: monotonic nanoseconds.
 */
class TokenBucket {
 public:
  /** `bytes_per_second` 0: unlimited. `burst`: bytes that may pass at once after a pause, at least 1. */
  TokenBucket(uint64_t bytes_per_second, uint64_t burst, uint64_t now_ns)
      : rate_(bytes_per_second < kMaxRate ? bytes_per_second : kMaxRate),
        burst_(burst == 0 ? 1 : (burst < kMaxBurst ? burst : kMaxBurst)),
        balance_(static_cast<int64_t>(burst_)),
        last_ns_(now_ns) {}

  bool unlimited() const { return rate_ == 0; }

  /** Takes `bytes` if the balance is positive; false: over the limit, nothing taken. */
  bool take(uint64_t bytes, uint64_t now_ns) {
    if (unlimited()) return true;
    refill(now_ns);
    if (balance_ <= 0) return false;
    // Debt is bounded: one packet is at most 64 KiB, but the type allows any number.
    balance_ -= static_cast<int64_t>(bytes < kMaxBurst ? bytes : kMaxBurst);
    return true;
  }

  /** Takes `bytes` whatever the balance is: for what does not wait and is paid for by what follows. */
  void owe(uint64_t bytes, uint64_t now_ns) {
    if (unlimited()) return;
    refill(now_ns);
    // Whoever owes without end owes no more than this.
    if (balance_ > -static_cast<int64_t>(kMaxBurst)) balance_ -= static_cast<int64_t>(bytes < kMaxBurst ? bytes : kMaxBurst);
  }

  /** Nanoseconds until take() succeeds; 0: now. For callers that wait instead of dropping. */
  uint64_t wait_ns(uint64_t now_ns) {
    if (unlimited()) return 0;
    refill(now_ns);
    if (balance_ > 0) return 0;
    const auto missing = static_cast<uint64_t>(1 - balance_);
    return (missing * kSecond - remainder_ + rate_ - 1) / rate_;
  }

 private:
  static constexpr uint64_t kSecond = 1000000000;
  // Debt or burst times kSecond, and a second times the rate, stay inside 64 bits with these (8 GiB/s, 8 GiB).
  static constexpr uint64_t kMaxRate = uint64_t{1} << 33;
  static constexpr uint64_t kMaxBurst = uint64_t{1} << 33;

  void refill(uint64_t now_ns);

  uint64_t rate_;
  uint64_t burst_;
  int64_t balance_;         // bytes
  uint64_t last_ns_;
  uint64_t remainder_ = 0;  // part of a byte, in 1/kSecond
};

}  // namespace ocvpn::pkt
