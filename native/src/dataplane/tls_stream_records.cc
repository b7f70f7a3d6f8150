// The part of TlsStream that goes on without the library (tls_records.h): data, KeyUpdates (RFC 8446 4.6.3) and alerts.
#include <openssl/err.h>

#include <algorithm>
#include <cstring>

#include "dataplane/tls_stream.h"

namespace ocvpn {
namespace {

constexpr std::size_t kHeader = TlsDirection::kHeader;
// RFC 8446 5.2: what a record may be longer than its plaintext.
constexpr std::size_t kMaxExpansion = 256;

std::size_t record_length(const std::uint8_t* record) {
  return kHeader + static_cast<std::size_t>(record[3] << 8 | record[4]);
}

}  // namespace

// ---------------------------------------------------------------- taking over

void TlsStream::use_own_records() {
  if (own_records_ || !handshake_done_ || !is_tls13() || pending_output() > 0) return;
  const SSL_SESSION* session = SSL_get_session(ssl_.get());
  if (SSL_SESSION_get_max_fragment_length(session) != TLSEXT_max_fragment_length_DISABLED) return;
  records_out_.begin(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl_.get())), true);
}

/// The library's output from `start` on: its first record tells the number that is next.
bool TlsStream::follow_library(std::size_t start) {
  if (!own_records_ && !records_out_.seeking()) return true;
  while (output_.size() - start >= kHeader) {
    const std::uint8_t* record = output_.data() + start;
    const std::size_t length = record_length(record);
    if (length > output_.size() - start) break;
    if (!own_records_ && !take_over(record, length)) {
      records_out_.give_up();
      records_in_.give_up();
      return true;
    }
    if (!records_out_.pass(record, length)) return false;
    start += length;
  }
  return true;
}

/// False: the connection stays the library's.
bool TlsStream::take_over(const std::uint8_t* record, std::size_t length) {
  const bool in_step = recorder_.key_updates_read() == 0 && recorder_.records_read() < TlsDirection::kMaxSeek &&
                       SSL_has_pending(ssl_.get()) == 0;
  own_records_ = in_step && records_out_.seek(record, length) &&
                 records_in_.begin(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl_.get())), false);
  return own_records_;
}

// ---------------------------------------------------------------- from the peer

TlsResult TlsStream::read_own(std::uint8_t* out, std::size_t capacity) {
  for (;;) {
    if (opened_start_ < opened_.size()) return deliver_opened(out, capacity);
    find_records();
    if (input_ready_ <= input_start_) return {TlsStatus::kWantRead, 0};
    std::uint8_t content_type = 0;
    TlsResult result = open_own(out, capacity, &content_type);
    if (result.status != TlsStatus::kOk) return result;
    if (content_type == SSL3_RT_APPLICATION_DATA && result.bytes > 0) {
      records_without_data_ = 0;
      if (opened_.empty()) return result;
      continue;
    }
    const std::uint8_t* message = opened_.empty() ? out : opened_.data();
    if (content_type == SSL3_RT_ALERT) {
      result.status = on_own_alert(message, result.bytes);
    } else if (content_type == SSL3_RT_HANDSHAKE) {
      result.status = on_own_handshake(message, result.bytes);
    } else if (content_type != SSL3_RT_APPLICATION_DATA) {
      result.status = refuse_record(SSL_AD_UNEXPECTED_MESSAGE, "unexpected record");
    }
    opened_.clear();
    if (result.status != TlsStatus::kOk) return {result.status, 0};
    if (!admit_record_without_data()) return {TlsStatus::kError, 0};
  }
}

/// The record at the start of the input, opened into `out`, or into opened_ when it does not fit there.
TlsResult TlsStream::open_own(std::uint8_t* out, std::size_t capacity, std::uint8_t* content_type) {
  const std::uint8_t* record = input_.data() + input_start_;
  const std::size_t length = record_length(record);
  if (length > kHeader + kMaxPlaintext + kMaxExpansion) {
    return {refuse_record(SSL_AD_RECORD_OVERFLOW, "encrypted length too long"), 0};
  }
  if (record[0] != SSL3_RT_APPLICATION_DATA) {
    return {refuse_record(SSL_AD_UNEXPECTED_MESSAGE, "unexpected record"), 0};
  }
  const std::size_t inner = length < TlsDirection::kOverhead ? 0 : length - kHeader - TlsDirection::kTag;
  if (inner > capacity) {
    opened_.resize(inner);
    opened_start_ = 0;
    out = opened_.data();
  }
  const bool found = records_in_.active() || records_in_.seek(record, length);
  const int bytes = found ? records_in_.open(record, length, out, content_type) : -1;
  if (bytes < 0) {
    opened_.clear();
    return {refuse_record(SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac"), 0};
  }
  if (!opened_.empty()) opened_.resize(static_cast<std::size_t>(bytes));
  input_start_ += length;
  return {TlsStatus::kOk, static_cast<std::size_t>(bytes)};
}

TlsResult TlsStream::deliver_opened(std::uint8_t* out, std::size_t capacity) {
  const std::size_t bytes = std::min(capacity, opened_.size() - opened_start_);
  std::memcpy(out, opened_.data() + opened_start_, bytes);
  opened_start_ += bytes;
  if (opened_start_ == opened_.size()) std::vector<std::uint8_t>().swap(opened_);
  return {TlsStatus::kOk, bytes};
}

TlsStatus TlsStream::on_own_alert(const std::uint8_t* alert, std::size_t length) {
  if (length != 2) return refuse_record(SSL_AD_DECODE_ERROR, "bad alert");
  if (alert[1] == SSL_AD_CLOSE_NOTIFY) return TlsStatus::kEnd;
  if (alert[1] == SSL_AD_USER_CANCELLED) return TlsStatus::kOk;
  // RFC 8446 6.2: whatever its level says, it ends the connection.
  ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + alert[1]);
  fail("the peer sent an alert");
  return TlsStatus::kError;
}

TlsStatus TlsStream::on_own_handshake(const std::uint8_t* message, std::size_t length) {
  std::uint8_t request = 0;
  if (!TlsKeyUpdate::parse(message, length, &request)) {
    return refuse_record(SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
  }
  if (request > TlsKeyUpdate::kRequested) return refuse_record(SSL_AD_ILLEGAL_PARAMETER, "bad key update");
  if (!records_in_.next_generation()) return refuse_record(SSL_AD_INTERNAL_ERROR, "no keys after a key update");
  if (request == TlsKeyUpdate::kNotRequested || closing_) return TlsStatus::kOk;
  return send_key_update(TlsKeyUpdate::kNotRequested) ? TlsStatus::kOk : TlsStatus::kError;
}

/// Ends the connection with an alert. `why` as OpenSSL would say it.
TlsStatus TlsStream::refuse_record(std::uint8_t alert, const char* why) {
  send_fatal_alert(alert);
  ERR_clear_error();
  fail(why);
  return TlsStatus::kError;
}

// ---------------------------------------------------------------- to the peer

bool TlsStream::write_own(std::uint8_t content_type, const std::uint8_t* data, std::size_t length) {
  make_output_room(length + TlsDirection::kOverhead);
  const std::size_t start = output_.size();
  output_.resize(start + kHeader);
  output_.insert(output_.end(), data, data + length);
  output_.resize(start + length + TlsDirection::kOverhead);
  if (records_out_.seal(content_type, output_.data() + start, length)) return true;
  output_.resize(start);
  fail("a TLS record could not be sealed");
  return false;
}

/// An alert or handshake message, which may go beyond the output limit.
bool TlsStream::write_own_control(std::uint8_t content_type, const std::uint8_t* data, std::size_t length) {
  if (pending_output() > output_limit_ + kOutputReserve) {
    fail("the peer makes us answer without reading");
    return false;
  }
  return write_own(content_type, data, length);
}

bool TlsStream::append_own_alert(std::uint8_t level, std::uint8_t description) {
  const std::uint8_t alert[] = {level, description};
  return write_own_control(SSL3_RT_ALERT, alert, sizeof alert);
}

bool TlsStream::send_key_update(std::uint8_t request) {
  const auto message = TlsKeyUpdate::message(request);
  return write_own_control(SSL3_RT_HANDSHAKE, message.data(), message.size()) && records_out_.next_generation();
}

}  // namespace ocvpn
