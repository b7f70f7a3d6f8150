// Keeps the handshake messages of a connection on which the client may show a certificate: the proof for a process
// that does not see the connection. Counts what the library has read, for the one who goes on behind it.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ocvpn {

class HandshakeRecorder {
 public:
  /// More than this is no proof any more. Bytes; SEC_CLIENT_CERT carries so much.
  static constexpr std::size_t kMaxBytes = 64 * 1024;

  /// Records from ClientHello on. It must live as long as `ssl`.
  void attach(SSL* ssl);
  /// No certificate is asked for: forgets everything.
  void stop();
  /// The messages to the client's CertificateVerify, once; empty when there was none.
  std::vector<std::uint8_t> take();
  /// Records of TLS 1.3 that were read, those of the handshake included.
  std::uint64_t records_read() const { return records_read_; }
  /// KeyUpdates that were read.
  std::uint64_t key_updates_read() const { return key_updates_read_; }

 private:
  enum class State { kRecording, kComplete, kStopped };

  static void on_message(int is_sent, int version, int content_type, const void* data, std::size_t length, SSL* ssl,
                         void* self);
  void add(bool is_sent, const std::uint8_t* message, std::size_t length);

  std::uint64_t records_read_ = 0;
  std::uint64_t key_updates_read_ = 0;
  State state_ = State::kRecording;
  std::vector<std::uint8_t> messages_;
};

}  // namespace ocvpn
