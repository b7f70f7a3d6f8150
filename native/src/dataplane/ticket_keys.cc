#include "dataplane/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "dataplane/tls_remote_key.h"
#include "dataplane/tls_stream.h"

namespace ocvpn {

// Verdicts of the call-back (SSL_CTX_set_tlsext_ticket_key_evp_cb).
namespace {
constexpr int kFailed = -1;
constexpr int kUnknown = 0;
constexpr int kKnown = 1;
constexpr int kKnownButRenew = 2;
}  // namespace

std::unique_ptr<TicketKeys> TicketKeys::create(SSL_CTX* context, std::string* error) {
  std::unique_ptr<TicketKeys> keys(new TicketKeys());
  keys->algorithm_ = EVP_CIPHER_fetch(tls_library(nullptr), "AES-256-CBC", nullptr);
  if (keys->algorithm_ == nullptr || SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) != 1 ||
      SSL_CTX_set_session_ticket_cb(context, on_content, nullptr, nullptr) != 1) {
    *error = "OpenSSL has no AES-256-CBC for session tickets";
    return nullptr;
  }
  return keys;
}

TicketKeys::~TicketKeys() {
  EVP_CIPHER_free(algorithm_);
  OPENSSL_cleanse(keys_.data(), sizeof keys_);
}

bool TicketKeys::set(const std::uint8_t* keys, std::size_t count) {
  if (count > kMaxKeys) return false;
  OPENSSL_cleanse(keys_.data(), sizeof keys_);
  if (count > 0) std::memcpy(keys_.data(), keys, count * kKeySize);
  count_ = count;
  return true;
}

std::uint32_t TicketKeys::key_index(SSL* ssl) {
  void* content = nullptr;
  std::size_t length = 0;
  std::uint32_t index = 0;
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr || SSL_SESSION_get0_ticket_appdata(session, &content, &length) != 1) return 0;
  if (length == sizeof index) std::memcpy(&index, content, length);
  return index;
}

int TicketKeys::on_content(SSL* ssl, void*) {
  const auto* stream = static_cast<const TlsStream*>(SSL_get_app_data(ssl));
  if (stream == nullptr) return 0;
  const std::uint32_t index = stream->key_index();
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &index, sizeof index);
}

int TicketKeys::start(const Key& key, bool seal, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<std::uint8_t*>(key.mac), sizeof key.mac),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  if (EVP_MAC_CTX_set_params(mac, params) != 1) return kFailed;
  if (EVP_CipherInit_ex(cipher, algorithm_, nullptr, key.cipher, iv, seal ? 1 : 0) != 1) return kFailed;
  return kKnown;
}

int TicketKeys::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                          int seal) {
  const auto* stream = static_cast<const TlsStream*>(SSL_get_app_data(ssl));
  const TicketKeys* self = stream != nullptr ? stream->ticket_keys() : nullptr;
  if (self == nullptr || self->empty()) return kUnknown;
  if (seal != 0) {
    const Key& newest = self->keys_.front();
    if (RAND_bytes_ex(tls_library(nullptr), iv, static_cast<std::size_t>(EVP_CIPHER_get_iv_length(self->algorithm_)), 0) != 1)
      return kFailed;
    std::memcpy(name, newest.name, sizeof newest.name);
    return self->start(newest, true, iv, cipher, mac);
  }
  for (std::size_t i = 0; i < self->count_; i++) {
    const Key& key = self->keys_[i];
    if (CRYPTO_memcmp(name, key.name, sizeof key.name) != 0) continue;
    // A ticket that is shown twice tells a listener that both connections are of one client (RFC 8446 C.4).
    return self->start(key, false, iv, cipher, mac) == kKnown ? kKnownButRenew : kFailed;
  }
  return kUnknown;
}

}  // namespace ocvpn
