// Timers without allocation: arming, moving and cancelling are O(1), whatever the number of clients.
//
// Theory of operation. Time is a 64-bit count of milliseconds, read as eleven digits of 6 bits; each digit has a level
// of 64 slots. A timer sits at the level of the highest digit in which its deadline differs from the current time, in
// the slot that its own digit names. When time reaches the slot, the timer moves to a lower level, and fires from level
// 0: an hour's timer moves at most four times. All of a lower level is earlier than all of a higher one, and a bitmap
// per level gives the first slot in use, so that finding the next event looks at no empty slot.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/view.h"

namespace ocvpn::pkt {

/** Embedded in its owner; must be cancelled (or have fired) before it is destroyed. */
class Timer {
 public:
  /** Both are the user's and come back when the timer fires. */
  explicit Timer(void* timer_owner = nullptr, uint32_t timer_kind = 0) : owner(timer_owner), kind(timer_kind) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { detail::require(!armed_); }

  bool armed() const { return armed_; }
  /** Absolute milliseconds; meaningful while armed. */
  uint64_t deadline_ms() const { return deadline_ms_; }

  void* owner;
  uint32_t kind;

 private:
  friend class TimerWheel;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  uint64_t deadline_ms_ = 0;
  uint8_t level_ = 0;
  uint8_t slot_ = 0;
  bool armed_ = false;
};

class TimerWheel {
 public:
  /** `now_ms`: monotonic milliseconds, the clock of all calls. */
  explicit TimerWheel(uint64_t now_ms) : now_ms_(now_ms) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  /** Disarms all timers that are still there. */
  ~TimerWheel();

  /** Arms or moves the timer. A deadline that has passed becomes the next millisecond. */
  void arm(Timer& timer, uint64_t deadline_ms);
  void cancel(Timer& timer);

  /**
   * Fires all timers with a deadline up to `now_ms`, in order of deadline. Each is disarmed before `fire(Timer&)` is
   * called, which may arm and cancel any timer and destroy the fired one; what it arms for a time up to `now_ms` fires
   * in the same call. A clock that goes back is ignored. Must not be called from inside `fire`.
   */
  template <typename F>
  void advance(uint64_t now_ms, F&& fire) {
    unsigned level = 0;
    unsigned slot = 0;
    uint64_t start_ms = 0;
    while (next_slot(&level, &slot, &start_ms) && start_ms <= now_ms) {
      now_ms_ = start_ms;
      if (level > 0) {
        cascade(level, slot);
        continue;
      }
      // From the head each time: `fire` may have cancelled any of the others.
      while (Timer* timer = slots_[0][slot]) {
        unlink(*timer);
        fire(*timer);
      }
    }
    if (now_ms > now_ms_) now_ms_ = now_ms;
  }

  /** Milliseconds after which advance() has work, for epoll_wait (never late, may be early); -1: nothing armed. */
  int64_t next_ms(uint64_t now_ms) const;

  size_t size() const { return size_; }

 private:
  static constexpr unsigned kLevels = 11;
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlotCount = 1u << kBits;

  bool next_slot(unsigned* level, unsigned* slot, uint64_t* start_ms) const;
  void insert(Timer& timer);
  void unlink(Timer& timer);
  void cascade(unsigned level, unsigned slot);

  uint64_t now_ms_;
  size_t size_ = 0;
  Timer* slots_[kLevels][kSlotCount] = {};
  uint64_t used_[kLevels] = {};
};

}  // namespace ocvpn::pkt
