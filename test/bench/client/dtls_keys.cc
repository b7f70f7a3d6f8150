#include "dtls_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>

#include <cstring>

#include "pkt/view.h"

namespace ocvpn::bench {

namespace {

constexpr size_t kHeader = pkt::kDtlsRecordHeaderSize;
constexpr size_t kFixedNonce = 4;
constexpr uint64_t kSequences = uint64_t{1} << 48;
constexpr uint16_t kDtls12 = 0xfefd;

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

OSSL_PARAM octets(const char* name, void* data, size_t size) { return OSSL_PARAM_construct_octet_string(name, data, size); }

/** The key block of RFC 5246 6.3. */
bool expand(SSL* dtls, const EVP_MD* digest, uint8_t* block, size_t size) {
  char label[] = "key expansion";
  std::array<uint8_t, 2 * SSL3_RANDOM_SIZE> randoms{};
  std::array<uint8_t, SSL_MAX_MASTER_KEY_LENGTH> secret{};
  SSL_get_server_random(dtls, randoms.data(), SSL3_RANDOM_SIZE);
  SSL_get_client_random(dtls, randoms.data() + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
  const size_t secret_size = SSL_SESSION_get_master_key(SSL_get_session(dtls), secret.data(), secret.size());
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  auto* name = const_cast<char*>(EVP_MD_get0_name(digest));  // only read
  // Seeds are joined.
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
                               octets(OSSL_KDF_PARAM_SECRET, secret.data(), secret_size),
                               octets(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
                               octets(OSSL_KDF_PARAM_SEED, randoms.data(), randoms.size()), OSSL_PARAM_construct_end()};
  const bool done = context && secret_size > 0 && EVP_KDF_derive(context.get(), block, size, params) == 1;
  OPENSSL_cleanse(secret.data(), secret.size());
  return done;
}

/** RFC 5246 6.2.3.3: number, type, version, length of the plaintext. */
std::array<uint8_t, 13> additional_data(const uint8_t* record, size_t length) {
  std::array<uint8_t, 13> out;
  std::memcpy(out.data(), record + 3, 8);
  std::memcpy(out.data() + 8, record, 3);
  pkt::MutView(out.data(), out.size()).put_be16(11, static_cast<uint16_t>(length));
  return out;
}

}  // namespace

std::unique_ptr<DtlsKeys> DtlsKeys::derive(SSL* dtls, const pkt::DtlsRecordHeader& last) {
  const SSL_CIPHER* suite = SSL_get_current_cipher(dtls);
  const int nid = SSL_CIPHER_get_cipher_nid(suite);
  if (SSL_version(dtls) != DTLS1_2_VERSION || (nid != NID_aes_128_gcm && nid != NID_aes_256_gcm)) return nullptr;
  const EVP_CIPHER* cipher = nid == NID_aes_128_gcm ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  const auto key = static_cast<size_t>(EVP_CIPHER_get_key_length(cipher));
  // Client's key, server's key, client's fixed nonce, server's; no MAC keys.
  std::array<uint8_t, 2 * (EVP_MAX_KEY_LENGTH + kFixedNonce)> block;
  const uint8_t* nonces = block.data() + 2 * key;
  std::unique_ptr<DtlsKeys> made(new DtlsKeys(last));
  // Explicit parts begin with the epoch, near what RFC 5288 3 proposes, and count up.
  pkt::MutView(made->out_.nonce.data(), made->out_.nonce.size()).put_be16(kFixedNonce, last.epoch);
  const bool done = expand(dtls, SSL_CIPHER_get_handshake_digest(suite), block.data(), 2 * (key + kFixedNonce)) &&
                    begin(&made->out_, cipher, block.data(), nonces, true) &&
                    begin(&made->in_, cipher, block.data() + key, nonces + kFixedNonce, false);
  OPENSSL_cleanse(block.data(), block.size());
  ERR_clear_error();
  return done ? std::move(made) : nullptr;
}

bool DtlsKeys::begin(Direction* direction, const EVP_CIPHER* cipher, const uint8_t* key, const uint8_t* nonce, bool seal) {
  direction->context.reset(EVP_CIPHER_CTX_new());
  std::memcpy(direction->nonce.data(), nonce, kFixedNonce);
  uint8_t* explicit_part = direction->nonce.data() + kFixedNonce;
  direction->tag_param[0] = octets(OSSL_CIPHER_PARAM_AEAD_TAG, direction->tag.data(), kTag);
  direction->tag_param[1] = direction->begin[2] = OSSL_PARAM_construct_end();
  const char* name = seal ? OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN : OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV;
  direction->begin[0] = octets(name, explicit_part, kNonce);
  direction->begin[1] = direction->tag_param[seal ? 1 : 0];
  EVP_CIPHER_CTX* context = direction->context.get();
  // -1: the whole nonce, from which sealing counts up.
  const int given = seal ? -1 : static_cast<int>(kFixedNonce);
  return context && EVP_CipherInit_ex2(context, cipher, key, direction->nonce.data(), seal ? 1 : 0, nullptr) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_IV_FIXED, given, direction->nonce.data()) == 1;
}

bool DtlsKeys::seal(const uint8_t* data, size_t length, uint8_t* out) {
  if (sequence_ >= kSequences || length > SSL3_RT_MAX_PLAIN_LENGTH) return false;
  const pkt::MutView record(out, length + kOverhead);
  record.put_u8(0, static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData));
  record.put_be16(1, kDtls12);
  record.put_be16(3, epoch_);
  record.put_be16(5, static_cast<uint16_t>(sequence_ >> 32));
  record.put_be32(7, static_cast<uint32_t>(sequence_));
  record.put_be16(11, static_cast<uint16_t>(kNonce + length + kTag));
  ++sequence_;
  const auto additional = additional_data(out, length);
  EVP_CIPHER_CTX* context = out_.context.get();
  uint8_t* body = out + kHeader + kNonce;
  int done = 0;
  if (EVP_CIPHER_CTX_get_params(context, out_.begin) != 1 ||
      EVP_EncryptUpdate(context, nullptr, &done, additional.data(), static_cast<int>(additional.size())) != 1 ||
      EVP_EncryptUpdate(context, body, &done, data, static_cast<int>(length)) != 1 ||
      EVP_EncryptFinal_ex(context, body + length, &done) != 1 || EVP_CIPHER_CTX_get_params(context, out_.tag_param) != 1)
    return false;
  record.put(kHeader, {out_.nonce.data() + kFixedNonce, kNonce});
  std::memcpy(body + length, out_.tag.data(), kTag);
  return true;
}

int DtlsKeys::open(const uint8_t* record, const pkt::DtlsRecordHeader& header, uint8_t* out) {
  if (header.version != kDtls12 || header.epoch != epoch_ || header.length < kNonce + kTag) return -1;
  if (window_.is_replay(header.epoch, header.sequence)) return -1;
  const size_t length = header.length - kNonce - kTag;
  const uint8_t* body = record + kHeader + kNonce;
  std::memcpy(in_.nonce.data() + kFixedNonce, record + kHeader, kNonce);
  std::memcpy(in_.tag.data(), body + length, kTag);
  const auto additional = additional_data(record, length);
  EVP_CIPHER_CTX* context = in_.context.get();
  int done = 0;
  if (EVP_CIPHER_CTX_set_params(context, in_.begin) != 1 ||
      EVP_DecryptUpdate(context, nullptr, &done, additional.data(), static_cast<int>(additional.size())) != 1 ||
      EVP_DecryptUpdate(context, out, &done, body, static_cast<int>(length)) != 1 ||
      EVP_DecryptFinal_ex(context, out + length, &done) != 1) {
    ERR_clear_error();  // SSL_get_error() would take what is left for the library's own
    return -1;
  }
  window_.accept(header.epoch, header.sequence);
  return static_cast<int>(length);
}

}  // namespace ocvpn::bench
