// Which DTLS records of an epoch came before (RFC 6347 4.1.2.6). It protects the records that are opened here
// (dtls_epoch.h), and tells a replayed record from a forged one after either was dropped (Session::read_active).
#pragma once

#include <cstdint>

namespace ocvpn::dataplane {

class ReplayWindow {
 public:
  // A record that authenticated.
  void accept(uint16_t epoch, uint64_t sequence) {
    if (epoch != epoch_) {
      epoch_ = epoch;
      highest_ = sequence;
      seen_ = 1;
      return;
    }
    if (sequence > highest_) {
      uint64_t shift = sequence - highest_;
      seen_ = shift < 64 ? seen_ << shift | 1 : 1;
      highest_ = sequence;
    } else if (highest_ - sequence < 64) {
      seen_ |= uint64_t{1} << (highest_ - sequence);
    }
  }

  // Whether a record with these numbers came before or is older than the window.
  bool is_replay(uint16_t epoch, uint64_t sequence) const {
    if (epoch != epoch_ || sequence > highest_) return false;
    uint64_t age = highest_ - sequence;
    return age >= 64 || (seen_ >> age & 1) != 0;
  }

 private:
  uint16_t epoch_ = 0;
  uint64_t highest_ = 0;
  uint64_t seen_ = 0;
};

}  // namespace ocvpn::dataplane
