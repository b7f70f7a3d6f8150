#include "dataplane/tls_stream.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <new>

#include "dataplane/tls_alert.h"
#include "dataplane/tls_bio.h"

namespace ocvpn {
namespace {

// Record header (RFC 8446 5.1): type, version, length.
constexpr std::size_t kHeader = 5;
constexpr std::size_t kMaxCiphertext = TlsStream::kMaxPlaintext + 2048;
constexpr std::uint8_t kHandshakeRecord = 22;

// A KeyUpdate costs us two key derivations and a record in return, a hello that is declined an alert: a peer that only
// sends those is cut off.
constexpr std::uint32_t kMaxRecordsWithoutData = 32;

/// Empties OpenSSL's error queue and picks the first entry of libssl, else the first: those before come from a
/// cipher's inside, those after only tell who passed it on. 0: the queue was empty.
unsigned long take_cause() {
  unsigned long cause = 0;
  while (const unsigned long error = ERR_get_error()) {
    if (cause == 0 || (ERR_GET_LIB(cause) != ERR_LIB_SSL && ERR_GET_LIB(error) == ERR_LIB_SSL)) cause = error;
  }
  return cause;
}

}  // namespace

// ---------------------------------------------------------------- life

std::unique_ptr<TlsStream> TlsStream::accept(std::shared_ptr<TlsContext> context, int fd) {
  std::unique_ptr<TlsStream> stream(new (std::nothrow) TlsStream(std::move(context), fd));
  if (stream == nullptr) {
    ::close(fd);
    return nullptr;
  }
  return stream->init() ? std::move(stream) : nullptr;
}

TlsStream::TlsStream(std::shared_ptr<TlsContext> context, int fd)
    : context_(std::move(context)), fd_(fd), vhost_("default") {}

bool TlsStream::init() {
  ssl_.reset(SSL_new(context_->ssl_ctx()));
  BIO* bio = ssl_ != nullptr ? new_tls_bio(this) : nullptr;
  if (bio == nullptr) return false;
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  recorder_.attach(ssl_.get());
  SSL_set_accept_state(ssl_.get());
  SSL_set_mode(ssl_.get(), SSL_MODE_ASYNC);
  // A login comes first; see expect_packets().
  SSL_set_options(ssl_.get(), SSL_OP_CLEANSE_PLAINTEXT);
  return true;
}

TlsStream::~TlsStream() {
  if (sign_.in_job()) {
    // The sleeping job holds references into the SSL object: let it run to its (failing) end first.
    sign_.refuse();
    SignSlot::Scope scope(sign_);
    if (handshake_done_) {
      std::size_t bytes = 0;
      SSL_read_ex(ssl_.get(), job_plaintext_.data(), job_plaintext_.size(), &bytes);
    } else {
      SSL_do_handshake(ssl_.get());
    }
    ERR_clear_error();
  }
  ssl_.reset();
  OPENSSL_cleanse(dtls_psk_.data(), dtls_psk_.size());
  if (fd_ >= 0) ::close(fd_);
}

// ---------------------------------------------------------------- socket

TlsResult TlsStream::receive() {
  prepare_input();
  if (input_end_ == input_.size()) return {TlsStatus::kBlocked, 0};
  ssize_t count;
  do {
    count = ::recv(fd_, input_.data() + input_end_, input_.size() - input_end_, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count == 0) return {TlsStatus::kEnd, 0};
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {TlsStatus::kWantRead, 0};
    fail_errno("recv", errno);
    return {TlsStatus::kError, 0};
  }
  input_end_ += static_cast<std::size_t>(count);
  bytes_received_ += static_cast<std::uint64_t>(count);
  return {TlsStatus::kOk, static_cast<std::size_t>(count)};
}

std::size_t TlsStream::feed(const std::uint8_t* data, std::size_t length) {
  prepare_input();
  const std::size_t count = std::min(length, input_.size() - input_end_);
  if (count > 0) std::memcpy(input_.data() + input_end_, data, count);
  input_end_ += count;
  bytes_received_ += count;
  return count;
}

TlsResult TlsStream::flush() {
  std::size_t sent = 0;
  while (output_start_ < output_.size()) {
    const ssize_t count =
        ::send(fd_, output_.data() + output_start_, output_.size() - output_start_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {TlsStatus::kBlocked, sent};
      fail_errno("send", errno);
      return {TlsStatus::kError, sent};
    }
    output_start_ += static_cast<std::size_t>(count);
    sent += static_cast<std::size_t>(count);
  }
  output_.clear();
  output_start_ = 0;
  return {TlsStatus::kOk, sent};
}

void TlsStream::expect_packets() { SSL_clear_options(ssl_.get(), SSL_OP_CLEANSE_PLAINTEXT); }

void TlsStream::release_buffers() {
  if (!handshake_done_ || sign_.in_job()) return;
  if (ssl_ != nullptr) SSL_free_buffers(ssl_.get());  // keeps those that hold something
  if (input_start_ == input_end_) {
    discard_input();
    std::vector<std::uint8_t>().swap(input_);
  }
  if (pending_output() == 0) {
    std::vector<std::uint8_t>().swap(output_);
    output_start_ = 0;
  }
}

/// Makes room for what comes: allocates the buffer, moves what is left of a record to its start.
void TlsStream::prepare_input() {
  if (input_.empty()) input_.resize(kInputCapacity);
  if (input_start_ == input_end_) {
    input_start_ = input_end_ = input_ready_ = 0;
    return;
  }
  if (input_.size() - input_end_ >= kMaxCiphertext + kHeader) return;
  std::memmove(input_.data(), input_.data() + input_start_, input_end_ - input_start_);
  input_end_ -= input_start_;
  input_ready_ -= std::min(input_ready_, input_start_);
  input_start_ = 0;
}

/// Moves input_ready_ behind the last complete record. OpenSSL then never holds a part of one, so that the next
/// byte of the input buffer is always a record's type.
void TlsStream::find_records() {
  if (!handshake_done_) {
    input_ready_ = input_end_;
    return;
  }
  input_ready_ = std::max(input_ready_, input_start_);
  while (input_end_ - input_ready_ >= kHeader) {
    const std::uint8_t* header = input_.data() + input_ready_;
    const std::size_t length = static_cast<std::size_t>(header[3] << 8 | header[4]);
    if (length > kMaxCiphertext) {
      input_ready_ = input_end_;  // OpenSSL answers with the right alert
      return;
    }
    if (input_end_ - input_ready_ < kHeader + length) return;
    input_ready_ += kHeader + length;
  }
}

std::size_t TlsStream::take_input(std::uint8_t* out, std::size_t capacity) {
  if (input_ready_ <= input_start_) return 0;
  const std::size_t count = std::min(capacity, input_ready_ - input_start_);
  std::memcpy(out, input_.data() + input_start_, count);
  input_start_ += count;
  return count;
}

bool TlsStream::append_output(const std::uint8_t* data, std::size_t length) {
  if (pending_output() + length > output_limit_ + kOutputReserve) return false;
  make_output_room(length);
  const std::size_t start = output_.size();
  output_.insert(output_.end(), data, data + length);
  return follow_library(start);
}

/// Forgets what was sent when the buffer would have to grow otherwise.
void TlsStream::make_output_room(std::size_t length) {
  if (output_start_ == 0 || output_.size() + length <= output_.capacity()) return;
  output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(output_start_));
  output_start_ = 0;
}

// ---------------------------------------------------------------- TLS

TlsStatus TlsStream::handshake() {
  if (failed_) return TlsStatus::kError;
  if (handshake_done_) return TlsStatus::kOk;
  if (sign_.waiting()) return TlsStatus::kWantSign;
  find_records();
  int result;
  {
    ERR_clear_error();
    SignSlot::Scope scope(sign_);
    result = SSL_do_handshake(ssl_.get());
  }
  if (result != 1) return status_of(result);
  handshake_done_ = true;
  input_ready_ = input_start_;
  // From here on jobs cost two context switches a record for nothing; renegotiations switch them on again.
  SSL_clear_mode(ssl_.get(), SSL_MODE_ASYNC);
  return TlsStatus::kOk;
}

TlsResult TlsStream::read(std::uint8_t* out, std::size_t capacity) {
  if (failed_) return {TlsStatus::kError, 0};
  if (!handshake_done_) return {TlsStatus::kWantRead, 0};
  if (own_records_) return read_own(out, capacity);
  if (sign_.waiting()) return {TlsStatus::kWantSign, 0};
  for (;;) {
    find_records();
    const bool record = input_ready_ > input_start_;
    if (!record && !sign_.in_job() && SSL_pending(ssl_.get()) == 0) return {TlsStatus::kWantRead, 0};
    if (sign_.in_job() || renegotiating() ||
        (record && input_[input_start_] == kHandshakeRecord && !is_tls13())) {
      const TlsResult result = read_in_job(out, capacity);
      if (result.status == TlsStatus::kOk) records_without_data_ = 0;
      if (result.status != TlsStatus::kWantRead) return result;
      if (!admit_record_without_data()) return {TlsStatus::kError, 0};
      if (input_ready_ <= input_start_) return result;
      continue;
    }
    std::size_t bytes = 0;
    if (ERR_peek_error() != 0) ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), out, capacity, &bytes);
    if (result == 1) {
      records_without_data_ = 0;
      return {TlsStatus::kOk, bytes};
    }
    const TlsStatus status = status_of(result);
    if (status != TlsStatus::kWantRead) return {status, 0};
    // That record carried no data (KeyUpdate, alert): the next one may.
    if (!admit_record_without_data()) return {TlsStatus::kError, 0};
  }
}

bool TlsStream::admit_record_without_data() {
  if (++records_without_data_ <= kMaxRecordsWithoutData) return true;
  send_fatal_alert(SSL_AD_UNEXPECTED_MESSAGE);
  fail("too many records without data");
  return false;
}

/// A read that may run a renegotiation, whose signature puts the job to sleep.
TlsResult TlsStream::read_in_job(std::uint8_t* out, std::size_t capacity) {
  if (!sign_.in_job()) {
    if (!renegotiating()) admit_renegotiation();
    job_plaintext_.resize(std::min(capacity, kMaxPlaintext));
  }
  SSL_set_mode(ssl_.get(), SSL_MODE_ASYNC);
  std::size_t bytes = 0;
  int result;
  {
    ERR_clear_error();
    SignSlot::Scope scope(sign_);
    result = SSL_read_ex(ssl_.get(), job_plaintext_.data(), job_plaintext_.size(), &bytes);
  }
  if (!sign_.in_job()) SSL_clear_mode(ssl_.get(), SSL_MODE_ASYNC);
  if (result != 1) return {status_of(result), 0};
  bytes = std::min(bytes, capacity);
  std::memcpy(out, job_plaintext_.data(), bytes);
  return {TlsStatus::kOk, bytes};
}

/// TLS 1.3 has none; there SSL_in_init() tells of a KeyUpdate that the next write sends.
bool TlsStream::renegotiating() const { return !is_tls13() && SSL_in_init(ssl_.get()) != 0; }

void TlsStream::admit_renegotiation() {
  if (renegotiation_budget_ == 0) {
    renegotiations_refused_++;
    SSL_set_options(ssl_.get(), SSL_OP_NO_RENEGOTIATION);
    return;
  }
  renegotiation_budget_--;
  renegotiations_++;
  SSL_clear_options(ssl_.get(), SSL_OP_NO_RENEGOTIATION);
}

TlsStatus TlsStream::write(const std::uint8_t* data, std::size_t length) {
  if (failed_ || closing_) return TlsStatus::kError;
  if (length == 0 || length > kMaxPlaintext) return TlsStatus::kError;
  if (!handshake_done_ || sign_.in_job() || renegotiating()) return TlsStatus::kBlocked;
  if (pending_output() >= output_limit_) return TlsStatus::kBlocked;
  if (own_records_) return write_own(SSL3_RT_APPLICATION_DATA, data, length) ? TlsStatus::kOk : TlsStatus::kError;
  if (ERR_peek_error() != 0) ERR_clear_error();
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), data, length, &written);
  if (result == 1) return TlsStatus::kOk;
  return status_of(result) == TlsStatus::kError ? TlsStatus::kError : TlsStatus::kBlocked;
}

void TlsStream::close_notify() {
  if (closing_ || failed_ || !handshake_done_ || sign_.in_job()) return;
  closing_ = true;
  if (own_records_) {
    append_own_alert(SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY);
    return;
  }
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool TlsStream::send_fatal_alert(std::uint8_t description) {
  if (closing_ || failed_ || sign_.in_job()) return false;
  if (own_records_ ? append_own_alert(SSL3_AL_FATAL, description) : append_fatal_alert(ssl_.get(), description)) {
    closing_ = true;
    return true;
  }
  close_notify();
  return false;
}

TlsStatus TlsStream::status_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return TlsStatus::kOk;
    case SSL_ERROR_WANT_READ:
      return TlsStatus::kWantRead;
    case SSL_ERROR_WANT_ASYNC:
      if (sign_.waiting()) return TlsStatus::kWantSign;
      fail("a TLS job paused without a signature request");
      return TlsStatus::kError;
    case SSL_ERROR_ZERO_RETURN:
      return TlsStatus::kEnd;
    default:
      fail("TLS failure");
      return TlsStatus::kError;
  }
}

// ---------------------------------------------------------------- signatures, keys, facts

bool TlsStream::complete_sign(std::uint32_t id, const std::uint8_t* signature, std::size_t length) {
  return sign_.complete(id, signature, length);
}

bool TlsStream::export_keying_material(const char* label, std::uint8_t* out, std::size_t length) const {
  return handshake_done_ && SSL_export_keying_material(ssl_.get(), out, length, label, std::strlen(label), nullptr, 0,
                                                       0) == 1;
}

bool TlsStream::export_dtls_psk(std::uint8_t out[32]) const {
  if (ssl_ != nullptr) return export_keying_material("EXPORTER-openconnect-psk", out, 32);
  std::copy(dtls_psk_.begin(), dtls_psk_.end(), out);
  return true;
}

bool TlsStream::request_key_update() {
  if (failed_ || closing_ || !handshake_done_ || !is_tls13()) return false;
  if (own_records_) return send_key_update(TlsKeyUpdate::kRequested);
  if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) != 1) return false;
  // The message goes into the output now: until then the SSL object counts as handshaking, and write() would refuse.
  const bool sent = SSL_do_handshake(ssl_.get()) == 1;
  ERR_clear_error();
  return sent;
}

std::uint32_t TlsStream::key_index() const {
  return SSL_session_reused(ssl_.get()) == 1 ? TicketKeys::key_index(ssl_.get()) : sign_.last_key_index();
}

const TicketKeys* TlsStream::ticket_keys() const { return context_->ticket_keys(); }

bool TlsStream::is_tls13() const { return own_records_ || SSL_version(ssl_.get()) >= TLS1_3_VERSION; }

/// Code ERR_TLS_<REASON> and OpenSSL's reason text; `what` when OpenSSL gives none.
void TlsStream::fail(const char* what) {
  const unsigned long cause = take_cause();
  const char* reason = cause != 0 ? ERR_reason_error_string(cause) : nullptr;
  error_ = reason != nullptr ? reason : what;
  error_code_ = "ERR_TLS_";
  for (unsigned char c : error_) error_code_ += std::isalnum(c) != 0 ? static_cast<char>(std::toupper(c)) : '_';
  failed_ = true;
}

void TlsStream::fail_errno(const char* call, int error) {
  error_ = std::string(call) + ": " + std::strerror(error);
  error_code_ = strerrorname_np(error);
  failed_ = true;
}

}  // namespace ocvpn
