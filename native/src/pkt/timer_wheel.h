// Timers without allocation: arming, moving and cancelling are O(1), whatever the number of clients.
//
// Theory of operation. Six levels of 64 slots; a slot of level n spans 64^n ticks of one millisecond, together about
// two years. A timer sits at the level of the highest 6-bit digit in which its deadline differs from the current time;
// when the time reaches its slot, it moves down (at most five times in its life) and fires from level 0. A bitmap per
// level finds the next slot in use without looking at empty ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ocvpn::pkt {

/** Embedded in its owner; must be cancelled (or have fired) before it is destroyed. */
class Timer {
 public:
  /** `owner` and `kind` are the user's and come back when the timer fires. */
  explicit Timer(void* owner = nullptr, uint32_t kind = 0) : owner(owner), kind(kind) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  bool armed() const { return list_ != nullptr; }
  /** Absolute milliseconds; meaningful while armed. */
  uint64_t deadline_ms() const { return deadline_ms_; }

  void* owner;
  uint32_t kind;

 private:
  friend class TimerWheel;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  Timer** list_ = nullptr;  // head of the slot's list, null when not armed
  uint64_t deadline_ms_ = 0;
  uint8_t level_ = 0;
  uint8_t slot_ = 0;
};

class TimerWheel {
 public:
  /** `now_ms`: monotonic milliseconds, the clock of all calls. */
  explicit TimerWheel(uint64_t now_ms) : now_ms_(now_ms) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  /** Disarms all timers that are still there. */
  ~TimerWheel();

  /** Arms or moves the timer. A deadline that has passed fires at the next advance(). */
  void arm(Timer& timer, uint64_t deadline_ms);
  void cancel(Timer& timer);

  /**
   * Fires all timers with a deadline up to `now_ms`, in order of deadline; each is disarmed before `fire(Timer&)` is called, which
   * may arm and cancel any timer and destroy the fired one. A timer armed inside with a deadline that has passed fires in the next advance().
   * A clock that goes back is ignored. Must not be called from inside `fire`.
   */
  template <typename F>
  void advance(uint64_t now_ms, F&& fire);

  /** Milliseconds after which advance() has work, for epoll_wait (never late, may be early); -1: nothing armed. */
  int64_t next_ms(uint64_t now_ms) const;

  size_t size() const { return size_; }

 private:
  static constexpr unsigned kLevels = 6;
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
