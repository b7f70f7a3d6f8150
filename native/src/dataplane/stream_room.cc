#include "dataplane/stream_room.h"

#include <algorithm>

namespace ocvpn::dataplane {

void StreamRoom::note(size_t taken, bool all, uint64_t now_ns) {
  turn_period(now_ns);
  taken_ += taken;
  batch_ = std::clamp(all ? 2 * batch_ : taken, kLeastBatch, kMostBatch);
}

bool StreamRoom::drops(size_t waiting, bool full, uint64_t now_ns) {
  turn_period(now_ns);
  const size_t most = queue_bytes();
  return waiting > most || (full && most < kFastQueue);
}

size_t StreamRoom::queue_bytes() const { return std::max(kLeastQueue, taken_ + taken_before_); }

void StreamRoom::turn_period(uint64_t now_ns) {
  const uint64_t passed = now_ns - period_began_ns_;
  if (passed < kPeriodNs) return;
  taken_before_ = passed < 2 * kPeriodNs ? taken_ : 0;
  unsent_ = kLeastUnsent;
  while (unsent_ < kMostUnsent && unsent_ < taken_before_ / kUnsentShare) unsent_ *= 2;
  taken_ = 0;
  period_began_ns_ = now_ns;
}

}  // namespace ocvpn::dataplane
