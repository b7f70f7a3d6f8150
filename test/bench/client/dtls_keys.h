// The client's end of a DTLS 1.2 epoch with AES-GCM (RFC 6347 4.1, RFC 5288 3), for records past the library's record
// layer. The server's end of it is dataplane/dtls_epoch.h.
#pragma once

#include <openssl/core.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/replay_window.h"
#include "pkt/cstp.h"

namespace ocvpn::bench {

class DtlsKeys {
 public:
  static constexpr size_t kNonce = 8;  // the explicit part, in front of the ciphertext
  static constexpr size_t kTag = 16;
  /** What a record adds to its plaintext, bytes. */
  static constexpr size_t kOverhead = pkt::kDtlsRecordHeaderSize + kNonce + kTag;

  /** Of the association's epoch in which `last` was the last record that the library sent. Null: not AES-GCM. */
  static std::unique_ptr<DtlsKeys> derive(SSL* dtls, const pkt::DtlsRecordHeader& last);

  /** Seals application data into `out`, `length` + kOverhead bytes apart from `data`. False: the cipher failed. */
  bool seal(const uint8_t* data, size_t length, uint8_t* out);
  /** Opens the record with that header into `out`, room for header.length bytes. -1: forged, repeated, another epoch. */
  int open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out);

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  /**
   * One direction. A record begins with its nonce as TLS has it rather than with EVP_CipherInit_ex2(), for which OpenSSL
   * 3.0 takes a sixth of the record's time. Its own addresses are in the parameters, so it stays where it is.
   */
  struct Direction {
    std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context;
    std::array<uint8_t, 12> nonce{};  // fixed part from the handshake, explicit part of the record
    std::array<uint8_t, kTag> tag{};
    OSSL_PARAM begin[3];  // to seal: gets the next nonce's explicit part; to open: sets that of the record, and its tag
    OSSL_PARAM tag_param[2];
  };

  explicit DtlsKeys(const pkt::DtlsRecordHeader& last) : epoch_(last.epoch), sequence_(last.sequence + 1) {}
  static bool begin(Direction* direction, const EVP_CIPHER* cipher, const uint8_t* key, const uint8_t* nonce, bool seal);

  uint16_t epoch_;
  uint64_t sequence_;
  dataplane::ReplayWindow window_;
  Direction in_;
  Direction out_;
};

}  // namespace ocvpn::bench
