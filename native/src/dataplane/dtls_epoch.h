// The keys of one DTLS 1.2 epoch with AES-GCM: records sealed and opened with the cipher itself (RFC 6347 4.1, RFC 5246
// 6.2.3.3, RFC 5288 3). No state of a handshake; dtls_records.h knows when an epoch begins.
#pragma once

#include <openssl/core.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/replay_window.h"
#include "pkt/cstp.h"

namespace ocvpn::dataplane {

class DtlsEpoch {
 public:
  static constexpr size_t kNonceSize = 8;  // the explicit part, in front of the ciphertext
  static constexpr size_t kTagSize = 16;
  // What a record adds to its plaintext.
  static constexpr size_t kOverhead = pkt::kDtlsRecordHeaderSize + kNonceSize + kTagSize;
  static constexpr size_t kMaxPlaintext = 16384;

  // The server's end of the epoch that the SSL object's last complete handshake began. `next_sequence`: of the first
  // record to be sealed. null: the cipher is not AES-GCM, or there is no memory.
  static std::unique_ptr<DtlsEpoch> begin(SSL* ssl, uint16_t epoch, uint64_t next_sequence);

  uint16_t number() const { return number_; }
  // Seals `length` bytes, at most kMaxPlaintext, into `out` (length + kOverhead bytes, apart from `data`). false: the
  // cipher failed, or the numbers of the epoch are used up.
  bool seal(uint8_t content_type, const uint8_t* data, size_t length, uint8_t* out);
  // Opens the record that begins at `record` and has this header. `out`: room for header.length bytes. Length of the
  // plaintext; -1: forged, cut or repeated.
  int open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out);
  // Gives a whole record that was sealed elsewhere with the same keys the next number. The size stays.
  bool renumber(uint8_t* record, const pkt::DtlsRecordHeader& header);

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;
  // One direction. Its own address is in `tag_params`.
  struct Direction {
    CipherPtr context;
    std::array<uint8_t, 12> nonce{};  // fixed part from the handshake, explicit part of the record
    std::array<uint8_t, kTagSize> tag{};
    OSSL_PARAM tag_params[2];
    bool init(const EVP_CIPHER* cipher, const uint8_t* key, const uint8_t* fixed_nonce, bool seal);
  };

  DtlsEpoch(uint16_t number, uint64_t next_sequence) : number_(number), next_sequence_(next_sequence) {}
  bool derive(SSL* ssl);

  uint16_t number_;
  uint64_t next_sequence_;
  ReplayWindow window_;
  Direction in_;
  Direction out_;
};

}  // namespace ocvpn::dataplane
