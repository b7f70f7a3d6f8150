#include "dataplane/dtls_epoch.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstring>

namespace ocvpn::dataplane {

namespace {

constexpr size_t kFixedNonceSize = 4;
constexpr size_t kMaxKeySize = 32;
constexpr size_t kAdditionalSize = 13;
constexpr uint64_t kSequenceLimit = uint64_t{1} << 48;
constexpr uint16_t kDtls12 = 0xfefd;

void put_number(uint8_t* out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i, value >>= 8) out[i] = static_cast<uint8_t>(value);
}

// RFC 5246 6.2.3.3: number, type, version, length of the plaintext.
void put_additional(uint8_t out[kAdditionalSize], const uint8_t* header, size_t length) {
  memcpy(out, header + 3, 8);
  memcpy(out + 8, header, 3);
  put_number(out + 11, length, 2);
}

// TLS 1.2's pseudo-random function (RFC 5246 5) over the session's master secret.
bool expand_keys(SSL* ssl, const SSL_CIPHER* cipher, uint8_t* out, size_t length) {
  const EVP_MD* digest = SSL_CIPHER_get_handshake_digest(cipher);
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
  EVP_KDF_CTX* context = kdf != nullptr ? EVP_KDF_CTX_new(kdf) : nullptr;
  EVP_KDF_free(kdf);
  if (digest == nullptr || context == nullptr) {
    EVP_KDF_CTX_free(context);
    return false;
  }
  uint8_t secret[SSL_MAX_MASTER_KEY_LENGTH];
  const size_t secret_length = SSL_SESSION_get_master_key(SSL_get_session(ssl), secret, sizeof secret);
  char label[] = "key expansion";
  uint8_t seed[sizeof label - 1 + 2 * SSL3_RANDOM_SIZE];
  memcpy(seed, label, sizeof label - 1);
  SSL_get_server_random(ssl, seed + sizeof label - 1, SSL3_RANDOM_SIZE);
  SSL_get_client_random(ssl, seed + sizeof label - 1 + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(EVP_MD_get0_name(digest)), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret, secret_length),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed), OSSL_PARAM_construct_end()};
  const bool done = secret_length > 0 && EVP_KDF_derive(context, out, length, params) == 1;
  EVP_KDF_CTX_free(context);
  OPENSSL_cleanse(secret, sizeof secret);
  return done;
}

}  // namespace

bool DtlsEpoch::Direction::init(const EVP_CIPHER* cipher, const uint8_t* key, const uint8_t* fixed_nonce, bool seal) {
  context.reset(EVP_CIPHER_CTX_new());
  memcpy(nonce.data(), fixed_nonce, kFixedNonceSize);
  tag_params[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size());
  tag_params[1] = OSSL_PARAM_construct_end();
  return context != nullptr &&
         EVP_CipherInit_ex2(context.get(), cipher, key, nonce.data(), seal ? 1 : 0, nullptr) == 1;
}

std::unique_ptr<DtlsEpoch> DtlsEpoch::begin(SSL* ssl, uint16_t epoch, uint64_t next_sequence) {
  if (SSL_version(ssl) != DTLS1_2_VERSION) return nullptr;
  std::unique_ptr<DtlsEpoch> made(new DtlsEpoch(epoch, next_sequence));
  const bool ready = made->derive(ssl);
  ERR_clear_error();
  return ready ? std::move(made) : nullptr;
}

bool DtlsEpoch::derive(SSL* ssl) {
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl);
  const int nid = suite != nullptr ? SSL_CIPHER_get_cipher_nid(suite) : NID_undef;
  if (nid != NID_aes_128_gcm && nid != NID_aes_256_gcm) return false;
  const EVP_CIPHER* cipher = nid == NID_aes_128_gcm ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  const auto key = static_cast<size_t>(EVP_CIPHER_get_key_length(cipher));
  // RFC 5246 6.3: client's key, server's key, client's fixed nonce, server's; AEAD has no MAC keys.
  uint8_t block[2 * (kMaxKeySize + kFixedNonceSize)];
  const uint8_t* nonces = block + 2 * key;
  const bool done = expand_keys(ssl, suite, block, 2 * (key + kFixedNonceSize)) && in_.init(cipher, block, nonces, false) &&
                    out_.init(cipher, block + key, nonces + kFixedNonceSize, true);
  OPENSSL_cleanse(block, sizeof block);
  return done;
}

bool DtlsEpoch::seal(uint8_t content_type, const uint8_t* data, size_t length, uint8_t* out) {
  if (next_sequence_ >= kSequenceLimit || length > kMaxPlaintext) return false;
  uint8_t* explicit_nonce = out + pkt::kDtlsRecordHeaderSize;
  uint8_t* body = explicit_nonce + kNonceSize;
  out[0] = content_type;
  put_number(out + 1, kDtls12, 2);
  put_number(out + 3, number_, 2);
  put_number(out + 5, next_sequence_, 6);
  put_number(out + 11, kNonceSize + length + kTagSize, 2);
  ++next_sequence_;
  // Unique in the epoch, as RFC 5288 3 proposes.
  memcpy(explicit_nonce, out + 3, kNonceSize);
  memcpy(out_.nonce.data() + kFixedNonceSize, explicit_nonce, kNonceSize);
  uint8_t additional[kAdditionalSize];
  put_additional(additional, out, length);
  EVP_CIPHER_CTX* context = out_.context.get();
  int done = 0;
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, out_.nonce.data(), nullptr) != 1 ||
      EVP_EncryptUpdate(context, nullptr, &done, additional, sizeof additional) != 1 ||
      EVP_EncryptUpdate(context, body, &done, data, static_cast<int>(length)) != 1 ||
      EVP_EncryptFinal_ex(context, body + length, &done) != 1 || EVP_CIPHER_CTX_get_params(context, out_.tag_params) != 1) {
    ERR_clear_error();
    return false;
  }
  memcpy(body + length, out_.tag.data(), kTagSize);
  return true;
}

int DtlsEpoch::open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out) {
  if (header.version != kDtls12 || header.length < kNonceSize + kTagSize) return -1;
  const size_t length = header.length - kNonceSize - kTagSize;
  if (length > kMaxPlaintext || window_.is_replay(header.epoch, header.sequence)) return -1;
  const uint8_t* explicit_nonce = record + pkt::kDtlsRecordHeaderSize;
  const uint8_t* body = explicit_nonce + kNonceSize;
  memcpy(in_.nonce.data() + kFixedNonceSize, explicit_nonce, kNonceSize);
  memcpy(in_.tag.data(), body + length, kTagSize);
  uint8_t additional[kAdditionalSize];
  put_additional(additional, record, length);
  EVP_CIPHER_CTX* context = in_.context.get();
  int done = 0;
  if (EVP_DecryptInit_ex2(context, nullptr, nullptr, in_.nonce.data(), in_.tag_params) != 1 ||
      EVP_DecryptUpdate(context, nullptr, &done, additional, sizeof additional) != 1 ||
      EVP_DecryptUpdate(context, out, &done, body, static_cast<int>(length)) != 1 ||
      EVP_DecryptFinal_ex(context, out + length, &done) != 1) {
    ERR_clear_error();  // SSL_get_error() would take what is left for the library's own
    return -1;
  }
  window_.accept(header.epoch, header.sequence);
  return static_cast<int>(length);
}

bool DtlsEpoch::renumber(uint8_t* record, const pkt::DtlsRecordHeader& header) {
  if (header.length < kNonceSize + kTagSize) return false;
  const size_t length = header.length - kNonceSize - kTagSize;
  if (length > kMaxPlaintext) return false;
  uint8_t* explicit_nonce = record + pkt::kDtlsRecordHeaderSize;
  uint8_t* body = explicit_nonce + kNonceSize;
  // GCM's encryption is its own inverse. The tag is not looked at: the record came from the library next door.
  memcpy(out_.nonce.data() + kFixedNonceSize, explicit_nonce, kNonceSize);
  std::unique_ptr<uint8_t[]> plaintext(new uint8_t[length + 1]);
  EVP_CIPHER_CTX* context = out_.context.get();
  int done = 0;
  const bool fine = EVP_EncryptInit_ex2(context, nullptr, nullptr, out_.nonce.data(), nullptr) == 1 &&
                    EVP_EncryptUpdate(context, plaintext.get(), &done, body, static_cast<int>(length)) == 1 &&
                    seal(header.content_type, plaintext.get(), length, record);
  OPENSSL_cleanse(plaintext.get(), length);
  return fine;
}

}  // namespace ocvpn::dataplane
