#include "dataplane/tls_records.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace ocvpn {
namespace {

constexpr std::uint16_t kAes128GcmSha256 = 0x1301;
constexpr std::uint16_t kAes256GcmSha384 = 0x1302;
// Type, length, and behind them request_update.
constexpr std::uint8_t kKeyUpdateHead[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// HKDF-Expand-Label(secret, label, "", length) of RFC 8446 7.1.
bool expand_label(const EVP_MD* digest, const std::uint8_t* secret, std::size_t secret_length, const char* label,
                  std::uint8_t* out, std::size_t length) {
  const std::size_t label_length = std::strlen(label);
  std::uint8_t info[64] = {static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length),
                           static_cast<std::uint8_t>(6 + label_length), 't', 'l', 's', '1', '3', ' '};
  std::memcpy(info + 9, label, label_length);
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  EVP_KDF_CTX* context = kdf != nullptr ? EVP_KDF_CTX_new(kdf) : nullptr;
  EVP_KDF_free(kdf);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(EVP_MD_get0_name(digest)), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<std::uint8_t*>(secret), secret_length),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, 9 + label_length + 1), OSSL_PARAM_construct_end()};
  const bool done = context != nullptr && EVP_KDF_derive(context, out, length, params) == 1;
  EVP_KDF_CTX_free(context);
  return done;
}

}  // namespace

TlsDirection::~TlsDirection() { give_up(); }

void TlsDirection::give_up() {
  context_.reset();
  OPENSSL_cleanse(secret_.data(), secret_.size());
  secret_length_ = 0;
}

bool TlsDirection::note_secret(const char* line, const char* label) {
  const std::size_t label_length = std::strlen(label);
  if (std::strncmp(line, label, label_length) != 0 || line[label_length] != ' ') return false;
  const char* hex = std::strrchr(line, ' ') + 1;  // behind the client's random
  const std::size_t length = std::strlen(hex) / 2;
  if (length > secret_.size()) return false;
  for (std::size_t i = 0; i < length; ++i) {
    secret_[i] = static_cast<std::uint8_t>(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  }
  secret_length_ = length;
  return true;
}

bool TlsDirection::begin(std::uint16_t suite, bool seal) {
  suite_ = suite;
  seals_ = seal;
  cipher_ = suite == kAes128GcmSha256 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  digest_ = suite == kAes128GcmSha256 ? EVP_sha256() : EVP_sha384();
  const bool known = suite == kAes128GcmSha256 || suite == kAes256GcmSha384;
  if (known && secret_length_ > 0 && derive()) return true;
  ERR_clear_error();
  give_up();
  return false;
}

TlsDirection::State TlsDirection::save() const {
  return {suite_, static_cast<std::uint8_t>(found_), static_cast<std::uint8_t>(secret_length_), sequence_, secret_};
}

bool TlsDirection::restore(const State& state, bool seal) {
  if (state.secret_length > secret_.size()) return false;
  secret_ = state.secret;
  secret_length_ = state.secret_length;
  if (!begin(state.suite, seal)) return false;
  found_ = state.found != 0;
  sequence_ = state.sequence;
  return true;
}

bool TlsDirection::derive() {
  std::uint8_t key[EVP_MAX_KEY_LENGTH];
  const auto key_length = static_cast<std::size_t>(EVP_CIPHER_get_key_length(cipher_));
  context_.reset(EVP_CIPHER_CTX_new());
  const bool done = context_ != nullptr &&
                    expand_label(digest_, secret_.data(), secret_length_, "key", key, key_length) &&
                    expand_label(digest_, secret_.data(), secret_length_, "iv", iv_.data(), iv_.size()) &&
                    EVP_CipherInit_ex2(context_.get(), cipher_, key, iv_.data(), seals_ ? 1 : 0, nullptr) == 1;
  OPENSSL_cleanse(key, sizeof key);
  return done;
}

bool TlsDirection::next_generation() {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> next{};
  if (!expand_label(digest_, secret_.data(), secret_length_, "traffic upd", next.data(), secret_length_)) return false;
  secret_ = next;
  OPENSSL_cleanse(next.data(), next.size());
  sequence_ = 0;
  return derive();
}

bool TlsDirection::start(bool seal, std::uint64_t sequence, const OSSL_PARAM* tag) {
  std::array<std::uint8_t, kNonce> nonce = iv_;
  for (std::size_t i = 0; i < sizeof sequence; ++i) nonce[kNonce - 1 - i] ^= static_cast<std::uint8_t>(sequence >> 8 * i);
  return EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), seal ? 1 : 0, tag) == 1;
}

bool TlsDirection::seal_inner(std::uint64_t sequence, std::uint8_t* record, std::size_t inner) {
  const std::size_t size = inner + kTag;
  const std::uint8_t header[kHeader] = {SSL3_RT_APPLICATION_DATA, 3, 3, static_cast<std::uint8_t>(size >> 8),
                                        static_cast<std::uint8_t>(size)};
  std::memcpy(record, header, sizeof header);
  std::uint8_t* body = record + kHeader;
  OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, body + inner, kTag),
                      OSSL_PARAM_construct_end()};
  EVP_CIPHER_CTX* context = context_.get();
  int done = 0;
  if (start(true, sequence, nullptr) && EVP_EncryptUpdate(context, nullptr, &done, header, sizeof header) == 1 &&
      EVP_EncryptUpdate(context, body, &done, body, static_cast<int>(inner)) == 1 &&
      EVP_EncryptFinal_ex(context, body + inner, &done) == 1 && EVP_CIPHER_CTX_get_params(context, tag) == 1) {
    return true;
  }
  ERR_clear_error();
  return false;
}

bool TlsDirection::open_at(std::uint64_t sequence, const std::uint8_t* record, std::size_t length, std::uint8_t* out) {
  const std::size_t inner = length - kHeader - kTag;
  auto* tag_bytes = const_cast<std::uint8_t*>(record + length - kTag);  // only read
  const OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag_bytes, kTag),
                            OSSL_PARAM_construct_end()};
  EVP_CIPHER_CTX* context = context_.get();
  int done = 0;
  if (start(false, sequence, tag) && EVP_DecryptUpdate(context, nullptr, &done, record, kHeader) == 1 &&
      EVP_DecryptUpdate(context, out, &done, record + kHeader, static_cast<int>(inner)) == 1 &&
      EVP_DecryptFinal_ex(context, out + inner, &done) == 1) {
    return true;
  }
  ERR_clear_error();  // SSL_get_error() would take what is left for the library's own
  return false;
}

bool TlsDirection::seek(const std::uint8_t* record, std::size_t length) {
  if (length < kHeader + kTag + 1 || record[0] != SSL3_RT_APPLICATION_DATA) return false;
  std::vector<std::uint8_t> plaintext(length);
  for (std::uint64_t sequence = 0; sequence < kMaxSeek && !found_; ++sequence) {
    found_ = open_at(sequence, record, length, plaintext.data());
    sequence_ = sequence;
  }
  OPENSSL_cleanse(plaintext.data(), plaintext.size());
  return found_;
}

bool TlsDirection::pass(const std::uint8_t* record, std::size_t length) {
  std::vector<std::uint8_t> plaintext(length);
  std::uint8_t content_type = 0;
  const int bytes = open(record, length, plaintext.data(), &content_type);
  std::uint8_t request = 0;
  const bool updates = content_type == SSL3_RT_HANDSHAKE && bytes > 0 &&
                       TlsKeyUpdate::parse(plaintext.data(), static_cast<std::size_t>(bytes), &request);
  OPENSSL_cleanse(plaintext.data(), plaintext.size());
  return bytes >= 0 && (!updates || next_generation());
}

bool TlsDirection::seal(std::uint8_t content_type, std::uint8_t* record, std::size_t length) {
  record[kHeader + length] = content_type;
  return seal_inner(sequence_++, record, length + 1);
}

int TlsDirection::open(const std::uint8_t* record, std::size_t length, std::uint8_t* out, std::uint8_t* content_type) {
  if (length < kHeader + kTag + 1 || length > kHeader + kMaxInner + kTag || record[0] != SSL3_RT_APPLICATION_DATA ||
      !open_at(sequence_, record, length, out)) {
    return -1;
  }
  std::size_t inner = length - kHeader - kTag;
  while (inner > 0 && out[inner - 1] == 0) --inner;
  if (inner == 0) return -1;
  ++sequence_;
  *content_type = out[inner - 1];
  return static_cast<int>(inner - 1);
}

bool TlsKeyUpdate::parse(const std::uint8_t* message, std::size_t length, std::uint8_t* request) {
  if (length != kSize || std::memcmp(message, kKeyUpdateHead, sizeof kKeyUpdateHead) != 0) return false;
  *request = message[kSize - 1];
  return true;
}

std::array<std::uint8_t, TlsKeyUpdate::kSize> TlsKeyUpdate::message(std::uint8_t request) {
  std::array<std::uint8_t, kSize> bytes{};
  std::copy(std::begin(kKeyUpdateHead), std::end(kKeyUpdateHead), bytes.begin());
  bytes.back() = request;
  return bytes;
}

}  // namespace ocvpn
