#include "dataplane/turn_pace.h"

namespace ocvpn::dataplane {

void TurnPace::begin_turn(uint64_t now_ns) {
  turn_began_ns_ = now_ns;
  uint64_t passed = now_ns - window_began_ns_;
  if (passed < kWindowNs) return;
  busy_ = packets_ * kWindowNs >= kBusyPackets * passed;
  packets_ = 0;
  window_began_ns_ = now_ns;
}

uint64_t TurnPace::pause_ns(uint64_t now_ns) const {
  if (!busy_ && packets_ < kBusyPackets) return 0;
  uint64_t passed = now_ns - turn_began_ns_;
  return passed >= kPeriodNs ? 0 : kPeriodNs - passed;
}

}  // namespace ocvpn::dataplane
