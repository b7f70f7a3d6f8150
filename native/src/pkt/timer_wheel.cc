#include "pkt/timer_wheel.h"

namespace ocvpn::pkt {

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (Timer*& head : level) {
      while (head != nullptr) unlink(*head);
    }
  }
}

void TimerWheel::arm(Timer& timer, uint64_t deadline_ms) {
  if (timer.armed_) unlink(timer);
  timer.deadline_ms_ = deadline_ms > now_ms_ ? deadline_ms : now_ms_ + 1;
  insert(timer);
}

void TimerWheel::cancel(Timer& timer) {
  if (timer.armed_) unlink(timer);
}

int64_t TimerWheel::next_ms(uint64_t now_ms) const {
  unsigned level = 0;
  unsigned slot = 0;
  uint64_t start_ms = 0;
  if (!next_slot(&level, &slot, &start_ms)) return -1;
  return start_ms > now_ms ? static_cast<int64_t>(start_ms - now_ms) : 0;
}

bool TimerWheel::next_slot(unsigned* level, unsigned* slot, uint64_t* start_ms) const {
  for (unsigned i = 0; i < kLevels; ++i) {
    if (used_[i] == 0) continue;
    *level = i;
    *slot = static_cast<unsigned>(__builtin_ctzll(used_[i]));
    const unsigned shift = (i + 1) * kBits;
    const uint64_t above = shift < 64 ? now_ms_ >> shift << shift : 0;
    *start_ms = above | static_cast<uint64_t>(*slot) << (i * kBits);
    return true;
  }
  return false;
}

void TimerWheel::insert(Timer& timer) {
  const uint64_t difference = (timer.deadline_ms_ ^ now_ms_) | 1;
  const unsigned level = (63 - static_cast<unsigned>(__builtin_clzll(difference))) / kBits;
  const auto slot = static_cast<unsigned>(timer.deadline_ms_ >> (level * kBits)) & (kSlotCount - 1);
  Timer*& head = slots_[level][slot];
  timer.level_ = static_cast<uint8_t>(level);
  timer.slot_ = static_cast<uint8_t>(slot);
  timer.prev_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->prev_ = &timer;
  head = &timer;
  timer.armed_ = true;
  used_[level] |= uint64_t{1} << slot;
  ++size_;
}

void TimerWheel::unlink(Timer& timer) {
  Timer*& head = slots_[timer.level_][timer.slot_];
  if (timer.prev_ != nullptr) {
    timer.prev_->next_ = timer.next_;
  } else {
    head = timer.next_;
  }
  if (timer.next_ != nullptr) timer.next_->prev_ = timer.prev_;
  if (head == nullptr) used_[timer.level_] &= ~(uint64_t{1} << timer.slot_);
  timer.armed_ = false;
  --size_;
}

void TimerWheel::cascade(unsigned level, unsigned slot) {
  // The current time has this slot's digit now, so each timer differs from it at a lower level only.
  while (Timer* timer = slots_[level][slot]) {
    unlink(*timer);
    insert(*timer);
  }
}

}  // namespace ocvpn::pkt
