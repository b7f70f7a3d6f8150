#include "dataplane/dtls_records.h"

#include <utility>

namespace ocvpn::dataplane {

void DtlsRecords::reset() { *this = DtlsRecords(); }

void DtlsRecords::take_over(SSL* ssl) {
  if (given_up_) return;
  previous_ = std::move(current_);
  // The library's nonces start anywhere; ours begin with the epoch and must not meet one of them.
  if (written_epoch_ > 0 && !nonce_clash_) current_ = DtlsEpoch::begin(ssl, written_epoch_, written_sequence_ + 1);
  given_up_ = current_ == nullptr;
}

bool DtlsRecords::pass(uint8_t* datagram, size_t length) {
  pkt::DtlsRecordHeader header;
  for (size_t at = 0; at < length; at += pkt::kDtlsRecordHeaderSize + header.length) {
    if (!pkt::peek_dtls_record({datagram + at, length - at}, &header)) return true;  // not DTLS 1.2: nothing to count
    if (header.epoch > 0 && !pass_record(datagram + at, header)) return false;
  }
  return true;
}

bool DtlsRecords::pass_record(uint8_t* record, const pkt::DtlsRecordHeader& header) {
  for (DtlsEpoch* epoch : {current_.get(), previous_.get()}) {
    if (epoch != nullptr && epoch->number() == header.epoch) return epoch->renumber(record, header);
  }
  if (header.epoch != written_epoch_) nonce_clash_ = false;
  written_epoch_ = header.epoch;
  written_sequence_ = header.sequence;
  const pkt::ConstView nonce(record + pkt::kDtlsRecordHeaderSize, header.length);
  if (nonce.contains(0, 2) && nonce.be16(0) == header.epoch) nonce_clash_ = true;
  return true;
}

int DtlsRecords::open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out) {
  if (header.epoch != current_->number()) return -1;
  const int length = current_->open(record, header, out);
  if (length >= 0) previous_.reset();
  return length;
}

}  // namespace ocvpn::dataplane
