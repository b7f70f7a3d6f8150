// Application data of a TLS 1.3 connection past the library's record layer, as dtls_records.h for DTLS. Handshake
// messages and alerts stay the library's.
//
// Each direction has two numbers: ours, which count on the wire, and the library's, which only counts what it saw. A
// record that the library writes is given our number on its way out, one that it has to read is given its own number on
// the way in. Which number is next when a direction is taken over is found by trying: the library does not tell it, and
// only the right one opens a record. A KeyUpdate begins both numbers anew.
#pragma once

#include <openssl/core.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace ocvpn {

/// Keys and numbers of one direction (RFC 8446 5.2, 5.3, 7.2, 7.3); AES-GCM.
class TlsDirection {
 public:
  static constexpr std::size_t kHeader = 5;
  static constexpr std::size_t kTag = 16;
  /// What a record adds to its plaintext: header, content type, tag.
  static constexpr std::size_t kOverhead = kHeader + 1 + kTag;

  ~TlsDirection();

  /// A line of SSL_CTX_set_keylog_callback. False: it is not `label`'s.
  bool note_secret(const char* line, const char* label);
  /// Makes the keys of the secret that was noted. False: none, or not AES-GCM.
  bool begin(const SSL_CIPHER* suite, bool seal);
  bool active() const { return context_ != nullptr && found_; }
  bool seeking() const { return context_ != nullptr && !found_; }
  /// Forgets everything: the direction stays the library's.
  void give_up();

  /// Tries numbers until one opens the record, which the library has written or will read. False: none does.
  bool seek(const std::uint8_t* record, std::size_t length, bool library_is_past);

  /// Seals in place: `record` is room for kOverhead + `length` bytes with the plaintext behind the header.
  bool seal(std::uint8_t content_type, std::uint8_t* record, std::size_t length);
  /// Opens under our number. `out` has room for `length` - kHeader - kTag bytes. Length of the plaintext, which is
  /// followed by its type and padding; -1: not authentic, and the number is not used up.
  int open(const std::uint8_t* record, std::size_t length, std::uint8_t* out, std::uint8_t* content_type);
  /// A record of the library's, which gets our number. False: it cannot be sent.
  bool take_from_library(std::uint8_t* record, std::size_t length);
  /// The record that open() has opened last, `inner` bytes with type and padding at `plaintext`: seals it under the
  /// library's number into `record`.
  bool give_to_library(const std::uint8_t* plaintext, std::size_t inner, std::uint8_t* record);

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  static constexpr std::size_t kNonce = 12;

  bool derive();
  bool next_generation();
  bool start(bool seal, std::uint64_t sequence, const OSSL_PARAM* tag);
  bool seal_inner(std::uint64_t sequence, std::uint8_t* record, std::size_t inner);
  bool open_at(std::uint64_t sequence, const std::uint8_t* record, std::size_t length, std::uint8_t* out);
  bool follow_key_update(std::uint8_t content_type, const std::uint8_t* message, std::size_t length);

  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context_;
  const EVP_CIPHER* cipher_ = nullptr;
  const EVP_MD* digest_ = nullptr;
  bool found_ = false;
  bool seals_ = false;
  std::uint64_t sequence_ = 0;
  std::uint64_t library_sequence_ = 0;
  std::array<std::uint8_t, kNonce> iv_{};
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> secret_{};
  std::size_t secret_length_ = 0;
};

}  // namespace ocvpn
