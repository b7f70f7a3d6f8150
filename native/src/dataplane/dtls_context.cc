#include "dataplane/dtls_context.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cstring>

namespace ocvpn::dataplane {

DtlsKeys::~DtlsKeys() {
  OPENSSL_cleanse(psk.data(), psk.size());
  OPENSSL_cleanse(master_secret.data(), master_secret.size());
}

namespace {

int keys_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

DtlsKeys* keys_of(const SSL* ssl) { return static_cast<DtlsKeys*>(SSL_get_ex_data(ssl, keys_index())); }

// Any identity is accepted: which key it is was decided when the datagram was dispatched (protocol.md 12.2).
unsigned int give_psk(SSL* ssl, const char* /*identity*/, unsigned char* psk, unsigned int capacity) {
  const DtlsKeys* keys = keys_of(ssl);
  if (keys == nullptr || capacity < keys->psk.size()) return 0;
  memcpy(psk, keys->psk.data(), keys->psk.size());
  return static_cast<unsigned int>(keys->psk.size());
}

const SSL_CIPHER* find_cipher(const SSL* ssl, const std::string& name) {
  STACK_OF(SSL_CIPHER)* ciphers = SSL_get_ciphers(ssl);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    if (name == SSL_CIPHER_get_name(cipher)) return cipher;
  }
  return nullptr;
}

// The session that the client "resumes": built from the secrets, fresh each time because a session has an age.
SSL_SESSION* find_legacy_session(SSL* ssl, const unsigned char* id, int id_length, int* copy) {
  *copy = 0;  // the reference is the caller's
  const DtlsKeys* keys = keys_of(ssl);
  if (keys == nullptr || id_length != static_cast<int>(keys->session_id.size()) ||
      CRYPTO_memcmp(id, keys->session_id.data(), keys->session_id.size()) != 0) {
    return nullptr;
  }
  const SSL_CIPHER* cipher = find_cipher(ssl, keys->cipher);
  SSL_SESSION* session = SSL_SESSION_new();
  bool complete = cipher != nullptr && session != nullptr &&
                  SSL_SESSION_set_protocol_version(session, DTLS1_2_VERSION) == 1 &&
                  SSL_SESSION_set_cipher(session, cipher) == 1 &&
                  SSL_SESSION_set1_id(session, keys->session_id.data(), keys->session_id.size()) == 1 &&
                  SSL_SESSION_set1_master_key(session, keys->master_secret.data(), keys->master_secret.size()) == 1;
  if (complete) return session;
  SSL_SESSION_free(session);
  return nullptr;
}

SslCtxPtr new_context(DtlsMode mode, const std::string& ciphers) {
  SslCtxPtr context(SSL_CTX_new(DTLS_server_method()));
  if (context == nullptr) return nullptr;
  SSL_CTX* ctx = context.get();
  // RSA and PSK key exchange have no forward secrecy of their own; here the key is that of the TLS connection.
  SSL_CTX_set_security_level(ctx, 1);
  if (SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(ctx, ciphers.c_str()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
  if (mode == DtlsMode::psk) {
    // The client's session_id is its app id, not a session (protocol.md 12.2).
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_psk_server_callback(ctx, give_psk);
  } else {
    // The session has no extended master secret (RFC 7627); a client that offers it must be resumed all the same.
    SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET | SSL_OP_NO_ENCRYPT_THEN_MAC);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_get_cb(ctx, find_legacy_session);
  }
  return context;
}

}  // namespace

SSL_CTX* DtlsContexts::get(DtlsMode mode, const std::string& ciphers) {
  SslCtxPtr& context = contexts_[{mode, ciphers}];
  if (context == nullptr) context = new_context(mode, ciphers);
  return context.get();
}

SslPtr new_dtls_ssl(SSL_CTX* context, DtlsKeys* keys) {
  SslPtr ssl(SSL_new(context));
  if (ssl != nullptr && SSL_set_ex_data(ssl.get(), keys_index(), keys) != 1) ssl.reset();
  if (ssl != nullptr) SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace ocvpn::dataplane
