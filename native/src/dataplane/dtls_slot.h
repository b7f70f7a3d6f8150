// One DTLS association of a session: SSL object, UDP socket, handshake clock. A session has two: the one that carries
// traffic and one in which a new handshake runs, so that a replayed ClientHello cannot harm a running tunnel.
//
// The SSL object reads from one datagram at a time (set_input) and writes records into the thread's UdpBatch; both
// through a BIO that makes no system call. With own records (dtls_records.h) it only sees handshakes and alerts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/dtls_context.h"
#include "dataplane/dtls_records.h"
#include "dataplane/udp_socket.h"

namespace ocvpn::dataplane {

class DtlsSlot {
 public:
  enum class State : uint8_t { empty, handshake, established };
  enum class Progress : uint8_t { pending, done, failed };

  DtlsSlot() = default;
  ~DtlsSlot();
  // Its address is known to the SSL object's BIO.
  DtlsSlot(const DtlsSlot&) = delete;
  DtlsSlot& operator=(const DtlsSlot&) = delete;

  // Seal and open data without the library's record layer where that is possible. Before start().
  void use_own_records(bool on) { own_records_ = on; }
  // Starts a server handshake on `socket`. `flight_mtu`: bytes of UDP payload that handshake datagrams may have.
  // `max_plaintext`: of the largest record that write() will be given.
  // false when the SSL object cannot be made.
  bool start(SSL_CTX* context, DtlsKeys* keys, UdpSocket socket, UdpBatch* batch, Counters* counters,
             uint32_t flight_mtu, uint32_t max_plaintext, bool allow_renegotiation, uint64_t now_ms);
  // Frees everything and closes the socket. `notify`: send close_notify first.
  void reset(bool notify);

  State state() const { return state_; }
  bool established() const { return state_ == State::established; }
  // Established and not in the middle of a renegotiation, during which no data may be sent.
  bool can_send() const { return established() && SSL_in_init(ssl_.get()) == 0; }
  bool renegotiating() const { return established() && SSL_in_init(ssl_.get()) != 0; }
  UdpSocket& socket() { return socket_; }
  const UdpSocket& socket() const { return socket_; }
  SSL* ssl() const { return ssl_.get(); }
  uint64_t started_ms() const { return started_ms_; }

  // The datagram that the next handshake() or read() consumes; must stay until then.
  void set_input(const uint8_t* datagram, size_t length) {
    input_ = datagram;
    input_length_ = length;
    if (state_ == State::handshake) heard_ += length;
  }
  // Exchanges the socket of a client that roamed; gives the old one back.
  UdpSocket replace_socket(UdpSocket socket);
  Progress handshake();
  // Bytes of one record's plaintext; 0: input is used up (also when it was dropped as not authentic);
  // -1: the association ended, failure() tells why.
  int read(uint8_t* out, size_t capacity);
  // Whether read() may have more without new input.
  bool has_more() const { return input_length_ > 0 || (!records_.active() && SSL_has_pending(ssl_.get()) == 1); }
  // Seals one record into the batch. false: ended.
  bool write(const uint8_t* data, size_t length);
  void flush() { batch_->flush(&socket_, counters_); }
  // Gives the memory of the library's empty record buffers back, for an association that rests. The next record
  // allocates them again.
  void release_buffers();

  // Milliseconds (real time) until the library wants on_retransmit_timer(); -1: no timer runs.
  int64_t retransmit_in_ms() const;
  Progress on_retransmit_timer();

  const char* failure() const { return failure_; }
  // Handshakes that the peer began on this association, the first included.
  uint32_t handshakes() const { return handshakes_; }
  // Bytes that a record adds to its plaintext (RFC 6347, RFC 5288): header, explicit nonce, tag or MAC and padding.
  uint32_t record_overhead() const;

 private:
  static const BIO_METHOD* bio_method();
  bool may_answer(size_t length);
  static int bio_write(BIO* bio, const char* data, int length);
  static int bio_read(BIO* bio, char* out, int capacity);
  static long bio_ctrl(BIO* bio, int command, long number, void* pointer);
  static void on_info(const SSL* ssl, int where, int value);
  bool next_record(pkt::DtlsRecordHeader* header);
  void consume(size_t length);
  size_t library_input();
  void take_new_keys();
  int read_library(uint8_t* out, size_t capacity);
  int read_own(uint8_t* out, size_t capacity);
  bool write_own(const uint8_t* data, size_t length);
  Progress progress_after(int result);
  void note_failure(int ssl_error);

  State state_ = State::empty;
  SslPtr ssl_;
  UdpSocket socket_;
  UdpBatch* batch_ = nullptr;
  Counters* counters_ = nullptr;
  const uint8_t* input_ = nullptr;
  size_t input_length_ = 0;
  uint64_t started_ms_ = 0;
  // Bytes from and to an address that the first handshake has not proved yet.
  uint64_t heard_ = 0;
  uint64_t said_ = 0;
  uint32_t handshakes_ = 0;
  size_t max_plaintext_ = 0;
  bool own_records_ = false;
  bool new_keys_ = false;  // a handshake was completed and its keys are not taken over yet
  DtlsRecords records_;
  char failure_[96] = {};
};

}  // namespace ocvpn::dataplane
