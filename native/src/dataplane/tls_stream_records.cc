// The part of TlsStream that seals and opens data past the library (tls_records.h).
#include <openssl/err.h>

#include "dataplane/tls_stream.h"

namespace ocvpn {
namespace {

constexpr std::size_t kHeader = TlsDirection::kHeader;

}  // namespace

void TlsStream::use_own_records() {
  if (!handshake_done_ || !is_tls13() || pending_output() > 0) return;
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl_.get());
  records_in_.begin(suite, false);
  records_out_.begin(suite, true);
}

/// True: the record at the start of the input was data and is in `out`. False: it is the library's, which can read it.
bool TlsStream::open_own(std::uint8_t* out, std::size_t capacity, TlsResult* result) {
  std::uint8_t* record = input_.data() + input_start_;
  const std::size_t length = kHeader + static_cast<std::size_t>(record[3] << 8 | record[4]);
  if (length > input_ready_ - input_start_ || length < TlsDirection::kOverhead) return false;
  if (records_in_.seeking()) {
    if (SSL_pending(ssl_.get()) > 0) return false;
    if (!records_in_.seek(record, length, false)) records_in_.give_up();
  }
  if (!records_in_.active()) return false;
  const std::size_t inner = length - kHeader - TlsDirection::kTag;
  std::vector<std::uint8_t> room;  // for a record that its reader wants in pieces, which is the library's art
  if (inner > capacity) room.resize(inner);
  std::uint8_t* plaintext = inner > capacity ? room.data() : out;
  std::uint8_t content_type = 0;
  const int bytes = records_in_.open(record, length, plaintext, &content_type);
  if (bytes < 0) return false;  // nor does it open under the library's number: it sends the alert
  if (content_type != SSL3_RT_APPLICATION_DATA || inner > capacity) {
    if (!records_in_.give_to_library(plaintext, inner, record)) records_in_.give_up();
    return false;
  }
  input_start_ += length;
  *result = {TlsStatus::kOk, static_cast<std::size_t>(bytes)};
  return true;
}

/// The library's records from `start` on get our numbers, or tell us theirs.
bool TlsStream::pass_output(std::size_t start) {
  if (!records_out_.active() && !records_out_.seeking()) return true;
  while (output_.size() - start >= kHeader) {
    std::uint8_t* record = output_.data() + start;
    const std::size_t length = kHeader + static_cast<std::size_t>(record[3] << 8 | record[4]);
    if (length > output_.size() - start) break;
    if (records_out_.seeking()) {
      if (!records_out_.seek(record, length, true)) records_out_.give_up();
    } else if (records_out_.active() && !records_out_.take_from_library(record, length)) {
      return false;
    }
    start += length;
  }
  return true;
}

TlsStatus TlsStream::write_own(const std::uint8_t* data, std::size_t length) {
  // The library answers a KeyUpdate with its next write, which does not come.
  if (SSL_get_key_update_type(ssl_.get()) != SSL_KEY_UPDATE_NONE) {
    SSL_do_handshake(ssl_.get());
    ERR_clear_error();
  }
  make_output_room(length + TlsDirection::kOverhead);
  const std::size_t start = output_.size();
  output_.resize(start + TlsDirection::kHeader);
  output_.insert(output_.end(), data, data + length);
  output_.resize(start + length + TlsDirection::kOverhead);
  if (records_out_.seal(SSL3_RT_APPLICATION_DATA, output_.data() + start, length)) return TlsStatus::kOk;
  fail("a TLS record could not be sealed");
  return TlsStatus::kError;
}

}  // namespace ocvpn
