// Application data of a DTLS association past the library's record layer, which takes longer around the cipher than the
// cipher itself (docs/hot-path.md). Handshakes and alerts stay the library's.
//
// take_over() begins with the epoch of the handshake that was completed; a rekey begins the next one. From then on two
// write in the same epoch, and the library does not know how many records were sealed here: what it writes later (an
// alert, the first flights of a rekey) is given the next number on its way out. Application data is never given to the
// library, so each record is looked up in one replay window: data in ours, everything else in the library's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/dtls_epoch.h"

namespace ocvpn::dataplane {

class DtlsRecords {
 public:
  // After each handshake. An association that is not taken over (not AES-GCM) stays the library's to its end.
  void take_over(SSL* ssl);
  bool active() const { return current_ != nullptr; }
  // Whether what the library sends must pass() here.
  bool watches() const { return !given_up_; }
  // Nothing of the association is left.
  void reset();

  // A datagram that the library sends. Notes its numbers, or gives it ours in an epoch that was taken over. false: do
  // not send it.
  bool pass(uint8_t* datagram, size_t length);

  // Whether the record is ours to open: data, of any epoch.
  bool owns(const pkt::DtlsRecordHeader& header) const {
    return active() && header.content_type == static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData);
  }
  // As DtlsEpoch::open; -1 also for another epoch.
  int open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out);
  // As DtlsEpoch::seal, for application data.
  bool seal(const uint8_t* data, size_t length, uint8_t* out) {
    return current_->seal(static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData), data, length, out);
  }

 private:
  bool pass_record(uint8_t* record, const pkt::DtlsRecordHeader& header);

  std::unique_ptr<DtlsEpoch> current_;
  // Its flights may be lost and then come again in this epoch, until the client proves that it has the next one.
  std::unique_ptr<DtlsEpoch> previous_;
  // What the library wrote in the last epoch that was not taken over yet.
  uint16_t written_epoch_ = 0;
  uint64_t written_sequence_ = 0;
  bool nonce_clash_ = false;
  bool given_up_ = false;
};

}  // namespace ocvpn::dataplane
