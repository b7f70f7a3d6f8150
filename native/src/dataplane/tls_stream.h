// One TLS server connection on one TCP descriptor, from the first byte of the handshake to the end of the
// tunnel. It knows neither an event loop nor JavaScript: the caller polls the descriptor and calls receive(),
// handshake()/read(), write(), flush(). It may change its thread (or its process, by fork) whenever no
// signature is pending.
//
//   socket -> receive() -> input buffer -> read()  -> plaintext, one TLS record a call
//   write() one TLS record a call -> output buffer -> flush() -> socket, one send() for all records
//
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/handshake_recorder.h"
#include "dataplane/tls_context.h"
#include "dataplane/tls_records.h"
#include "dataplane/tls_sign.h"

namespace ocvpn {

enum class TlsStatus {
  kOk,        // done: handshake complete, `bytes` delivered or accepted, everything flushed
  kWantRead,  // nothing to deliver until receive() brought more
  kWantSign,  // the handshake waits for sign_request() to be answered by complete_sign()
  kBlocked,   // write: output limit reached, or a (re)handshake is under way; flush: socket is full
  kEnd,       // the peer sent close_notify; receive: the peer sent FIN
  kError,     // fatal, see error(); an alert may wait in the output buffer: flush() before closing
};

struct TlsResult {
  TlsStatus status;
  std::size_t bytes;
};

class TlsStream {
 public:
  /// Largest plaintext of one record (RFC 8446 5.1): write() takes at most this, read() never gives more.
  static constexpr std::size_t kMaxPlaintext = 16384;
  /// Default of set_output_limit().
  static constexpr std::size_t kDefaultOutputLimit = 256 * 1024;
  /// Alerts and handshake messages may go beyond the output limit by this much: a peer that makes us produce more
  /// without reading is cut off.
  static constexpr std::size_t kOutputReserve = 256 * 1024;
  /// Room for received ciphertext: what one receive() can bring at most.
  static constexpr std::size_t kInputCapacity = 64 * 1024;

  /// Server side of a new connection. Takes ownership of `fd` (non-blocking) whether it succeeds or not.
  /// null: out of memory.
  static std::unique_ptr<TlsStream> accept(std::shared_ptr<TlsContext> context, int fd);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  int fd() const { return fd_; }

  // ---------------------------------------------------------------- socket

  /// One recv() into the input buffer. kOk with the count, kWantRead (EAGAIN), kBlocked (buffer full: read()
  /// first), kEnd (FIN), kError (errno text in error()).
  TlsResult receive();
  /// Bytes that the next receive() can take.
  std::size_t input_room() const { return kInputCapacity - (input_end_ - input_start_); }
  /// Appends ciphertext that came another way. Returns how much fitted.
  std::size_t feed(const std::uint8_t* data, std::size_t length);
  /// Drops what was received and not read: for a connection that is only waiting for the peer's FIN.
  void discard_input() { input_start_ = input_end_ = input_ready_ = 0; }
  /// Gives the memory of empty buffers back, OpenSSL's included: for a connection that rests. The next byte either way
  /// allocates it again.
  void release_buffers();
  /// Until then OpenSSL wipes its copy of what was read, which may be a password: a copy more for every packet.
  void expect_packets();
  /// Sends the output buffer with one send(). kOk (all sent), kBlocked, kError.
  TlsResult flush();
  /// Ciphertext bytes waiting for flush().
  std::size_t pending_output() const { return output_.size() - output_start_; }
  /// write() is kBlocked while more ciphertext than this waits.
  void set_output_limit(std::size_t bytes) { output_limit_ = bytes; }
  /// Ciphertext bytes received so far. 0 at the end of a connection: a TCP health probe.
  std::uint64_t bytes_received() const { return bytes_received_; }

  // ---------------------------------------------------------------- TLS

  /// Advances the first handshake with what was received: kOk (complete), kWantRead, kWantSign, kError.
  TlsStatus handshake();
  bool handshake_done() const { return handshake_done_; }
  /// Decrypts the next record. kOk with 1..kMaxPlaintext bytes when `capacity` >= kMaxPlaintext (a smaller
  /// buffer gets the record in pieces), kWantRead, kWantSign (TLS 1.2 renegotiation), kEnd, kError.
  TlsResult read(std::uint8_t* out, std::size_t capacity);
  /// Encrypts `length` (1..kMaxPlaintext) bytes as exactly one record into the output buffer. kOk, kBlocked
  /// (nothing taken), kError.
  TlsStatus write(const std::uint8_t* data, std::size_t length);
  /// Appends close_notify. Nothing can be written afterwards.
  void close_notify();
  /// Appends a fatal alert (RFC 8446 6.2, e.g. 49 access_denied), where the OpenSSL in this process lets an
  /// application send one; otherwise close_notify, and the result is false.
  bool send_fatal_alert(std::uint8_t description);
  /// Text of the failure behind the last kError ("OpenSSL reason" or errno text).
  const std::string& error() const { return error_; }
  bool failed() const { return failed_; }
  /// 'ERR_TLS_…' or the errno name that belongs to error().
  const std::string& error_code() const { return error_code_; }

  /// From the next record that it writes on the library has no part in the connection any more, where that is possible:
  /// TLS 1.3 with AES-GCM, no KeyUpdate of the client yet, records of any length.
  void use_own_records();
  bool owns_records() const { return own_records_; }

  /// The connection as bytes, for restore() in another process, which needs a copy of the descriptor as well; secret.
  /// Afterwards this object can only be destroyed. Empty: the library has a part in it.
  std::vector<std::uint8_t> save();
  /// Goes on where save() ended. Takes ownership of `fd`. null: not what save() gives.
  static std::unique_ptr<TlsStream> restore(int fd, const std::uint8_t* saved, std::size_t length);

  // ---------------------------------------------------------------- signatures

  /// The operation that waits, null if none. Valid until complete_sign().
  const SignRequest* sign_request() const { return sign_.waiting() ? &sign_.request() : nullptr; }
  /// A renegotiation or handshake sleeps or has not gone on since its answer: the stream stays on this thread.
  bool in_job() const { return sign_.in_job(); }
  /// Answers request `id` (null signature: refused, the handshake will fail). The next handshake() or read()
  /// goes on. False: there is no such request, or the answer came already.
  bool complete_sign(std::uint32_t id, const std::uint8_t* signature, std::size_t length);

  // ---------------------------------------------------------------- keying and rekeying

  /// RFC 5705 / RFC 8446 7.5 exporter without context. False before the handshake is complete.
  bool export_keying_material(const char* label, std::uint8_t* out, std::size_t length) const;
  /// 32 bytes for DTLS PSK-NEGOTIATE: label EXPORTER-openconnect-psk.
  bool export_dtls_psk(std::uint8_t out[32]) const;
  /// How many more TLS 1.2 renegotiations the peer may start. 0 (default): they are refused with a
  /// no_renegotiation warning and counted. The owner raises it at the rate that its rekey-time allows.
  void set_renegotiation_budget(std::uint32_t count) { renegotiation_budget_ = count; }
  std::uint32_t renegotiations() const { return renegotiations_; }
  /// Hellos beyond the budget.
  std::uint32_t renegotiations_refused() const { return renegotiations_refused_; }
  /// Appends a TLS 1.3 KeyUpdate that asks the peer for its own. False for TLS 1.2.
  bool request_key_update();
  /// A renegotiation is under way, during which no data can be written.
  bool renegotiating() const;

  // ---------------------------------------------------------------- facts

  bool is_tls13() const;
  SSL* ssl() const { return ssl_.get(); }
  /// SNI name as sent (lower case), '' if none.
  const std::string& server_name() const { return server_name_; }
  /// Name of the virtual host that answered: 'default' unless SNI chose another.
  const std::string& vhost() const { return vhost_; }
  /// What this connection's tickets are sealed with.
  const TicketKeys* ticket_keys() const;
  /// See HandshakeRecorder::take().
  std::vector<std::uint8_t> take_client_handshake() { return recorder_.take(); }
  /// SignatureScheme of the last signature made for this connection, 0 if none.
  std::uint16_t signature_scheme() const { return sign_.last_scheme(); }
  /// key_index of the certificate that the client knows: of the first handshake, when this one resumed it.
  std::uint32_t key_index() const;

 private:
  friend class TlsStreamBio;
  friend class TlsContext;

  struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  TlsStream(std::shared_ptr<TlsContext> context, int fd);
  bool init();
  TlsStatus status_of(int result);
  TlsResult read_in_job(std::uint8_t* out, std::size_t capacity);
  void find_records();
  void prepare_input();
  void admit_renegotiation();
  bool admit_record_without_data();
  std::size_t take_input(std::uint8_t* out, std::size_t capacity);
  bool append_output(const std::uint8_t* data, std::size_t length);
  void make_output_room(std::size_t length);
  bool follow_library(std::size_t start);
  bool take_over(const std::uint8_t* record, std::size_t length);
  TlsResult read_own(std::uint8_t* out, std::size_t capacity);
  TlsResult open_own(std::uint8_t* out, std::size_t capacity, std::uint8_t* content_type);
  TlsResult deliver_opened(std::uint8_t* out, std::size_t capacity);
  TlsStatus on_own_alert(const std::uint8_t* alert, std::size_t length);
  TlsStatus on_own_handshake(const std::uint8_t* message, std::size_t length);
  bool write_own(std::uint8_t content_type, const std::uint8_t* data, std::size_t length);
  bool write_own_control(std::uint8_t content_type, const std::uint8_t* data, std::size_t length);
  bool append_own_alert(std::uint8_t level, std::uint8_t description);
  bool send_key_update(std::uint8_t request);
  TlsStatus refuse_record(std::uint8_t alert, const char* why);
  void fail(const char* what);
  void fail_errno(const char* call, int error);

  std::shared_ptr<TlsContext> context_;
  HandshakeRecorder recorder_;
  TlsDirection records_in_;
  TlsDirection records_out_;
  bool own_records_ = false;
  /// Of a connection that came by restore().
  std::array<std::uint8_t, 32> dtls_psk_{};
  /// What is left of a record that its reader wants in pieces; ours only.
  std::vector<std::uint8_t> opened_;
  std::size_t opened_start_ = 0;
  std::unique_ptr<SSL, SslFree> ssl_;
  int fd_;
  SignSlot sign_;
  std::vector<std::uint8_t> input_;  // kInputCapacity bytes, or none while the connection rests
  std::size_t input_start_ = 0;
  std::size_t input_end_ = 0;
  /// End of what OpenSSL may see: whole records only, once the handshake is complete.
  std::size_t input_ready_ = 0;
  /// Target of a read that may sleep in a job, which keeps the pointer.
  std::vector<std::uint8_t> job_plaintext_;
  std::vector<std::uint8_t> output_;
  std::size_t output_start_ = 0;
  std::size_t output_limit_ = kDefaultOutputLimit;
  std::uint64_t bytes_received_ = 0;
  std::uint32_t renegotiation_budget_ = 0;
  std::uint32_t renegotiations_ = 0;
  std::uint32_t renegotiations_refused_ = 0;
  /// Since the last that carried data.
  std::uint32_t records_without_data_ = 0;
  bool handshake_done_ = false;
  bool failed_ = false;
  bool closing_ = false;
  std::string server_name_;
  std::string vhost_;
  std::string error_;
  std::string error_code_;
};

}  // namespace ocvpn
