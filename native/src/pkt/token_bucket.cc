#include "pkt/token_bucket.h"

namespace ocvpn::pkt {

void TokenBucket::refill(uint64_t now_ns) {
  if (now_ns <= last_ns_) return;
  const uint64_t elapsed = now_ns - last_ns_;
  last_ns_ = now_ns;
  // A pause that is long enough to fill the bucket from any debt needs no arithmetic (and would overflow it).
  const uint64_t missing = static_cast<uint64_t>(static_cast<int64_t>(burst_) - balance_);
  const uint64_t seconds = elapsed / kSecond;
  if (seconds > missing / rate_) {
    balance_ = static_cast<int64_t>(burst_);
    remainder_ = 0;
    return;
  }
  // seconds * rate <= missing here, the rest is below one second.
  const uint64_t fraction = (elapsed % kSecond) * rate_ + remainder_;
  const uint64_t earned = seconds * rate_ + fraction / kSecond;
  remainder_ = fraction % kSecond;
  if (earned >= missing) {
    balance_ = static_cast<int64_t>(burst_);
    remainder_ = 0;
    return;
  }
  balance_ += static_cast<int64_t>(earned);
}

}  // namespace ocvpn::pkt
