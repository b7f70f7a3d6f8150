#include "dataplane/send_pace.h"

#include <algorithm>

namespace ocvpn::dataplane {

void SendPace::note_sent(size_t bytes, uint64_t now_ns) {
  if (now_ns != leaked_ns_) leak(now_ns);  // once a turn
  level_ += bytes;
  sent_ += bytes;
}

void SendPace::end_hold(uint64_t due_ns, uint64_t now_ns) {
  if (now_ns > due_ns + kLateNs) no_hold_until_ns_ = now_ns + kBackOffNs;
}

uint64_t SendPace::wait_ns(uint64_t now_ns) {
  if (now_ns != leaked_ns_) leak(now_ns);
  if (now_ns < no_hold_until_ns_ || level_ <= kRoom || rate() >= kMany) return 0;
  const uint64_t wait_ns = (level_ - kRoom) * 10 * kWindowNs / (kLeakTenths * rate());
  return wait_ns < kHoldNs ? 0 : wait_ns;
}

uint64_t SendPace::rate() const {
  return std::max({kLeast, sent_, *std::max_element(windows_.begin(), windows_.end())});
}

uint64_t SendPace::leak_of(uint64_t ns) const { return kLeakTenths * rate() * ns / (10 * kWindowNs); }

void SendPace::leak(uint64_t now_ns) {
  // No more can be in the bucket than the windows that are known have seen.
  const uint64_t passed = std::min(now_ns - leaked_ns_, kWindows * kWindowNs);
  leaked_ns_ = now_ns;
  level_ -= std::min(level_, leak_of(passed));
  turn_window(now_ns);
}

void SendPace::turn_window(uint64_t now_ns) {
  const uint64_t passed = (now_ns - window_began_ns_) / kWindowNs;
  if (passed > kWindows) windows_.fill(0);
  for (uint64_t i = 0; i < passed && passed <= kWindows; ++i) {
    window_ = (window_ + 1) % kWindows;
    windows_[window_] = i == 0 ? sent_ : 0;  // nothing was sent in those after the one that was begun last
  }
  if (passed > 0) sent_ = 0;
  window_began_ns_ += passed * kWindowNs;
}

}  // namespace ocvpn::dataplane
