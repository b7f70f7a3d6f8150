#include "dataplane/dtls_slot.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

namespace ocvpn::dataplane {

namespace {

// First retransmission after 400 ms as ocserv's, then doubled up to RFC 6347 4.2.4.1's 60 s.
constexpr unsigned int kFirstRetransmitUs = 400 * 1000;
constexpr unsigned int kLastRetransmitUs = 60 * 1000 * 1000;

// Answers to probes of a path's MTU must fit even when they are beyond what the tunnel was given.
constexpr size_t kMinFragment = 2048;
// From this OpenSSL on DTLS allocates released buffers again.
constexpr unsigned long kBuffersComeBack = 0x30200000;

// An address that may be a victim's gets at most so many times what came from it (as in RFC 9000 section 8.1): repetitions
// beyond are lost, until the client repeats its own flight.
constexpr uint64_t kAmplification = 3;

unsigned int next_retransmit(SSL* /*ssl*/, unsigned int current_us) {
  if (current_us == 0) return kFirstRetransmitUs;
  return std::min(current_us * 2, kLastRetransmitUs);
}

}  // namespace

DtlsSlot::~DtlsSlot() { reset(false); }

const BIO_METHOD* DtlsSlot::bio_method() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "ocvpn datagram");
    if (made == nullptr) return made;
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_ctrl);
    return made;
  }();
  return method;
}

bool DtlsSlot::may_answer(size_t length) {
  if (state_ != State::handshake) return true;
  if (said_ + length > kAmplification * heard_) return false;
  said_ += length;
  return true;
}

int DtlsSlot::bio_write(BIO* bio, const char* data, int length) {
  auto* slot = static_cast<DtlsSlot*>(BIO_get_data(bio));
  if (length <= 0) return 0;
  if (!slot->may_answer(static_cast<size_t>(length))) return length;
  const auto* datagram = reinterpret_cast<const uint8_t*>(data);
  const auto size = static_cast<size_t>(length);
  if (!slot->own_records_ || !slot->records_.watches()) {
    slot->batch_->add(&slot->socket_, datagram, size, slot->counters_);
    return length;
  }
  std::vector<uint8_t> copy(datagram, datagram + size);  // of handshakes and alerts only
  if (slot->records_.pass(copy.data(), size)) slot->batch_->add(&slot->socket_, copy.data(), size, slot->counters_);
  return length;
}

// The record that the input begins with. What is no record ends the datagram, as in the library.
bool DtlsSlot::next_record(pkt::DtlsRecordHeader* header) {
  if (input_length_ > 0 && pkt::peek_dtls_record({input_, input_length_}, header)) return true;
  input_length_ = 0;
  return false;
}

void DtlsSlot::consume(size_t length) {
  input_ += length;
  input_length_ -= length;
}

int DtlsSlot::bio_read(BIO* bio, char* out, int capacity) {
  auto* slot = static_cast<DtlsSlot*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  size_t size = slot->library_input();
  if (size == 0 || capacity <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  // As with recv(): what does not fit is lost, a datagram is never read in two pieces.
  size_t length = std::min(size, static_cast<size_t>(capacity));
  memcpy(out, slot->input_, length);
  slot->consume(size);
  return static_cast<int>(length);
}

// Bytes at the start of the input that the library reads next: the whole datagram, or with own records one record.
size_t DtlsSlot::library_input() {
  if (!own_records_) return input_length_;
  constexpr auto kApplicationData = static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData);
  pkt::DtlsRecordHeader header;
  while (next_record(&header)) {
    const size_t size = pkt::kDtlsRecordHeaderSize + header.length;
    if (records_.owns(header)) return 0;  // read_own()'s
    if (state_ != State::handshake || header.content_type != kApplicationData) return size;
    // Data that overtook the handshake. The library would keep it for later, and no window of ours would know it.
    consume(size);
  }
  return 0;
}

long DtlsSlot::bio_ctrl(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  // Datagram queries (MTU, timers) get 0: SSL_OP_NO_QUERY_MTU is set and the loop keeps the time.
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

bool DtlsSlot::start(SSL_CTX* context, DtlsKeys* keys, UdpSocket socket, UdpBatch* batch, Counters* counters,
                     uint32_t flight_mtu, uint32_t max_plaintext, bool allow_renegotiation, uint64_t now_ms) {
  reset(false);
  ssl_ = new_dtls_ssl(context, keys);
  BIO* bio = ssl_ == nullptr || bio_method() == nullptr ? nullptr : BIO_new(bio_method());
  if (bio == nullptr) {
    ssl_.reset();
    return false;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_mtu(ssl_.get(), flight_mtu);
  // The write buffers, one for each epoch that is kept, have room for one record of this size instead of 16 KiB.
  max_plaintext_ = std::clamp<size_t>(max_plaintext, kMinFragment, SSL3_RT_MAX_PLAIN_LENGTH);
  SSL_set_max_send_fragment(ssl_.get(), static_cast<long>(max_plaintext_));
  SSL_set_options(ssl_.get(), allow_renegotiation ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION : SSL_OP_NO_RENEGOTIATION);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_info_callback(ssl_.get(), on_info);
  DTLS_set_timer_cb(ssl_.get(), next_retransmit);
  handshakes_ = 0;
  heard_ = said_ = 0;
  new_keys_ = false;
  socket_ = std::move(socket);
  batch_ = batch;
  counters_ = counters;
  started_ms_ = now_ms;
  state_ = State::handshake;
  return true;
}

void DtlsSlot::reset(bool notify) {
  if (ssl_ != nullptr && notify && established()) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  // Also the alert of an association that failed; left in the batch, it would go to the next session's client.
  if (ssl_ != nullptr) flush();
  ssl_.reset();
  records_.reset();
  socket_ = UdpSocket();
  input_length_ = 0;
  failure_[0] = '\0';
  state_ = State::empty;
}

UdpSocket DtlsSlot::replace_socket(UdpSocket socket) {
  UdpSocket old = std::move(socket_);
  socket_ = std::move(socket);
  return old;
}

void DtlsSlot::on_info(const SSL* ssl, int where, int /*value*/) {
  auto* slot = static_cast<DtlsSlot*>(SSL_get_app_data(ssl));
  if ((where & SSL_CB_HANDSHAKE_START) != 0) slot->handshakes_ += 1;
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0) slot->new_keys_ = true;
}

void DtlsSlot::note_failure(int ssl_error) {
  unsigned long code = ERR_peek_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  if (ssl_error == SSL_ERROR_ZERO_RETURN) reason = "close_notify";
  snprintf(failure_, sizeof failure_, "%s", reason != nullptr ? reason : "DTLS failed");
  ERR_clear_error();
}

DtlsSlot::Progress DtlsSlot::progress_after(int result) {
  if (result == 1) {
    state_ = State::established;
    take_new_keys();
    return Progress::done;
  }
  int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Progress::pending;
  note_failure(error);
  return Progress::failed;
}

DtlsSlot::Progress DtlsSlot::handshake() {
  ERR_clear_error();
  Progress progress = progress_after(SSL_do_handshake(ssl_.get()));
  flush();
  return progress;
}

void DtlsSlot::take_new_keys() {
  if (own_records_ && new_keys_) records_.take_over(ssl_.get());
  new_keys_ = false;
}

int DtlsSlot::read(uint8_t* out, size_t capacity) {
  return records_.active() ? read_own(out, capacity) : read_library(out, capacity);
}

int DtlsSlot::read_own(uint8_t* out, size_t capacity) {
  pkt::DtlsRecordHeader header;
  while (records_.active() && next_record(&header)) {
    const uint8_t* record = input_;
    const size_t left = input_length_;
    if (!records_.owns(header)) {
      const int length = read_library(out, capacity);
      if (length != 0) return length;
      if (input_length_ < left) continue;  // else it took nothing: the record is passed over
    }
    consume(pkt::kDtlsRecordHeaderSize + header.length);
    if (!records_.owns(header)) continue;
    const int length = header.length <= capacity ? records_.open(record, header, out) : -1;
    if (length > 0) return length;
  }
  return 0;
}

int DtlsSlot::read_library(uint8_t* out, size_t capacity) {
  int length = SSL_read(ssl_.get(), out, static_cast<int>(capacity));
  take_new_keys();
  if (length > 0) return length;
  int error = SSL_get_error(ssl_.get(), length);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
  note_failure(error);
  return -1;
}

bool DtlsSlot::write_own(const uint8_t* data, size_t length) {
  const size_t size = length + DtlsEpoch::kOverhead;
  uint8_t* room = batch_->reserve(&socket_, size, counters_);
  if (room == nullptr) return true;  // larger than a datagram, and counted
  if (!records_.seal(data, length, room)) {
    snprintf(failure_, sizeof failure_, "%s", "a DTLS record could not be sealed");
    return false;
  }
  batch_->commit(size);
  return true;
}

bool DtlsSlot::write(const uint8_t* data, size_t length) {
  if (records_.active()) return write_own(data, length);
  if (length > max_plaintext_) return true;  // lost: the library would end the association
  int written = SSL_write(ssl_.get(), data, static_cast<int>(length));
  if (written > 0) return true;
  int error = SSL_get_error(ssl_.get(), written);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;  // the record is lost, not the channel
  note_failure(error);
  return false;
}

void DtlsSlot::release_buffers() {
  if (can_send() && OpenSSL_version_num() >= kBuffersComeBack) SSL_free_buffers(ssl_.get());
}

int64_t DtlsSlot::retransmit_in_ms() const {
  timeval left{};
  if (ssl_ == nullptr || DTLSv1_get_timeout(ssl_.get(), &left) != 1) return -1;
  return static_cast<int64_t>(left.tv_sec) * 1000 + (left.tv_usec + 999) / 1000;
}

DtlsSlot::Progress DtlsSlot::on_retransmit_timer() {
  long result = DTLSv1_handle_timeout(ssl_.get());
  flush();
  if (result >= 0) return Progress::pending;
  note_failure(SSL_ERROR_SSL);
  return Progress::failed;
}

uint32_t DtlsSlot::record_overhead() const {
  constexpr uint32_t kHeader = 13;
  const SSL_CIPHER* cipher = ssl_ != nullptr ? SSL_get_current_cipher(ssl_.get()) : nullptr;
  if (cipher == nullptr) return kHeader + 8 + 16;
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_chacha20_poly1305:
      return kHeader + 16;
    case NID_aes_128_cbc:
    case NID_aes_256_cbc:
      return kHeader + 16 + 48 + 16;  // IV, largest MAC (SHA-384), padding
    default:
      return kHeader + 8 + 16;  // GCM and CCM: explicit nonce and tag
  }
}

}  // namespace ocvpn::dataplane
