#include "dataplane/send_pace.h"

#include <algorithm>

namespace ocvpn::dataplane {

void SendPace::note_sent(size_t bytes, uint64_t now_ns) {
  if (now_ns != leaked_ns_) leak(now_ns);  // once a turn
  level_ += bytes;
  sent_ += bytes;
}

void SendPace::end_hold(uint64_t held_ns, uint64_t now_ns) {
  if (now_ns > held_ns + kHoldNs + kLateNs) no_hold_until_ns_ = now_ns + kBackOffNs;
}

bool SendPace::full(uint64_t now_ns) {
  if (now_ns != leaked_ns_) leak(now_ns);
  return now_ns >= no_hold_until_ns_ && rate() < kMany && level_ > std::max(kRoom, leak_of(kHoldNs));
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
