#include "dataplane/turn_pace.h"

namespace ocvpn::dataplane {

void TurnPace::begin_turn(uint64_t now_ns) {
  turn_began_ns_ = now_ns;
  turn_packets_ = 0;
  uint64_t passed = now_ns - window_began_ns_;
  if (passed < kWindowNs) return;
  busy_ = packets_ * kWindowNs >= kBusyPackets * passed;
  packets_ = 0;
  window_began_ns_ = now_ns;
}

uint64_t TurnPace::pause_ns(uint64_t now_ns) const {
  if ((!busy_ && packets_ < kBusyPackets) || turn_packets_ >= kFullTurn) return 0;
  if (now_ns < no_pause_until_ns_) return 0;
  uint64_t passed = now_ns - turn_began_ns_;
  return passed >= kPeriodNs ? 0 : kPeriodNs - passed;
}

void TurnPace::end_pause(uint64_t due_ns, uint64_t now_ns) {
  if (now_ns > due_ns + kLateNs) no_pause_until_ns_ = now_ns + kBackOffNs;
}

}  // namespace ocvpn::dataplane
