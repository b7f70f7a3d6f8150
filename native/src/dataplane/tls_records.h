// Records of a TLS 1.3 connection past the library's record layer, as dtls_records.h for DTLS. Once both directions are
// taken over the library has no part in the connection any more, so that it can go on in a process that never had it.
//
// Which number is next when a direction is taken over is found by trying: the library does not tell it, and only the
// right one opens a record. A KeyUpdate begins the numbers anew.
#pragma once

#include <openssl/core.h>
#include <openssl/evp.h>

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

  /// Longest plaintext with its type and padding (RFC 8446 5.4).
  static constexpr std::size_t kMaxInner = 16384 + 1;
  /// Records on one connection before it is taken over: a login, pages, files.
  static constexpr std::uint64_t kMaxSeek = 1024;

  /// What a direction is continued with elsewhere. Secret.
  struct State {
    std::uint16_t suite;
    std::uint8_t found;  // 0 or 1: no bool, since it comes as bytes
    std::uint8_t secret_length;
    std::uint64_t sequence;
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> secret;
  };

  ~TlsDirection();

  /// A line of SSL_CTX_set_keylog_callback. False: it is not `label`'s.
  bool note_secret(const char* line, const char* label);
  /// Makes the keys of the secret that was noted, for a suite by its TLS number. False: none, or not AES-GCM.
  bool begin(std::uint16_t suite, bool seal);
  bool active() const { return context_ != nullptr && found_; }
  bool seeking() const { return context_ != nullptr && !found_; }
  /// Forgets everything: the direction stays the library's.
  void give_up();

  State save() const;
  /// False: no state that save() gives.
  bool restore(const State& state, bool seal);

  /// Tries numbers until one opens the record, which stays the next. False: none does.
  bool seek(const std::uint8_t* record, std::size_t length);
  /// The library has sealed the record under the number that is next.
  bool pass(const std::uint8_t* record, std::size_t length);

  /// Seals in place: `record` is room for kOverhead + `length` bytes with the plaintext behind the header.
  bool seal(std::uint8_t content_type, std::uint8_t* record, std::size_t length);
  /// Opens under our number. `out` has room for `length` - kHeader - kTag bytes. Length of the plaintext, which is
  /// followed by its type and padding; -1: not authentic, and the number is not used up.
  int open(const std::uint8_t* record, std::size_t length, std::uint8_t* out, std::uint8_t* content_type);
  /// To the keys after a KeyUpdate (RFC 8446 7.2), which was the last record of the old ones.
  bool next_generation();

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  static constexpr std::size_t kNonce = 12;

  bool derive();
  bool start(bool seal, std::uint64_t sequence, const OSSL_PARAM* tag);
  bool seal_inner(std::uint64_t sequence, std::uint8_t* record, std::size_t inner);
  bool open_at(std::uint64_t sequence, const std::uint8_t* record, std::size_t length, std::uint8_t* out);

  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context_;
  std::uint16_t suite_ = 0;
  const EVP_CIPHER* cipher_ = nullptr;
  const EVP_MD* digest_ = nullptr;
  bool found_ = false;
  bool seals_ = false;
  std::uint64_t sequence_ = 0;
  std::array<std::uint8_t, kNonce> iv_{};
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> secret_{};
  std::size_t secret_length_ = 0;
};

/// RFC 8446 4.6.3.
struct TlsKeyUpdate {
  static constexpr std::size_t kSize = 5;
  static constexpr std::uint8_t kNotRequested = 0;
  static constexpr std::uint8_t kRequested = 1;

  /// False: the handshake record carries anything else.
  static bool parse(const std::uint8_t* message, std::size_t length, std::uint8_t* request);
  static std::array<std::uint8_t, kSize> message(std::uint8_t request);
};

}  // namespace ocvpn
