#include "dataplane/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cctype>

#include "dataplane/client_trust.h"
#include "dataplane/tls_remote_key.h"
#include "dataplane/tls_stream.h"
#include "dataplane/x509_pem.h"

namespace ocvpn {
namespace {

// AEAD and forward secrecy only. AES-256 first, as ocserv's default priority gives.
constexpr char kCipherList[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr char kCipherSuites[] = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
// A remote key signs, it does not decrypt; the others would need no certificate at all.
constexpr char kNeverCiphers[] = ":!kRSA:!PSK:!SRP:!aNULL:!eNULL";
constexpr char kGroups[] = "X25519MLKEM768:X25519:P-256:P-384";
// The same for an OpenSSL before 3.5.
constexpr char kGroupsWithoutMlKem[] = "X25519:P-256:P-384";
// What a remote key can be asked for (tls_provider_sign.cc), and what clients may sign with.
constexpr char kSignatureAlgorithms[] =
    "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:ed25519:"
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
// 112 bits: RSA and DH from 2048 bits, no SHA-1 (SSL_CTX_set_security_level(3)).
constexpr int kSecurityLevel = 2;
constexpr unsigned char kSessionIdContext[] = "ocvpn";
// Each serves one new connection (RFC 8446 C.4).
constexpr std::size_t kTickets = 1;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool refuse(std::string* error, const std::string& what) {
  *error = what + ": " + openssl_reason("not accepted by OpenSSL");
  return false;
}

/// In 'request' mode the handshake goes on whatever the certificate is worth; the verdict is SSL_get_verify_result.
int accept_any_certificate(int, X509_STORE_CTX*) { return 1; }

/// A TLS 1.2 renegotiation does not ask for the certificate again.
int verify_mode(ClientCertificate mode) {
  switch (mode) {
    case ClientCertificate::kNone:
      return SSL_VERIFY_NONE;
    case ClientCertificate::kRequest:
      return SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    case ClientCertificate::kRequire:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_CLIENT_ONCE;
  }
  return SSL_VERIFY_NONE;
}

SSL_verify_cb verify_callback(ClientCertificate mode) {
  return mode == ClientCertificate::kRequest ? accept_any_certificate : nullptr;
}

/// RFC 6066 section 3: the first host_name of the server_name extension; '' when absent or malformed.
std::string server_name_of(SSL* ssl) {
  constexpr std::size_t kMaxHostName = 255;
  const unsigned char* bytes = nullptr;
  std::size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) != 1 || length < 5) return {};
  const std::size_t list = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]);
  const std::size_t name = static_cast<std::size_t>(bytes[3] << 8 | bytes[4]);
  if (list + 2 != length || bytes[2] != TLSEXT_NAMETYPE_host_name || name + 5 > length || name > kMaxHostName) return {};
  std::string text(reinterpret_cast<const char*>(bytes + 5), name);
  const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isgraph(c) != 0; });
  return printable ? lower(std::move(text)) : std::string();
}

/// RFC 8446 section 4.2.1: whether supported_versions of the hello has TLS 1.3.
bool offers_tls13(SSL* ssl) {
  const unsigned char* bytes = nullptr;
  std::size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &bytes, &length) != 1 || length < 1) return false;
  const std::size_t end = std::min(length, std::size_t{1} + bytes[0]);
  for (std::size_t at = 1; at + 1 < end; at += 2) {
    if ((bytes[at] << 8 | bytes[at + 1]) == TLS1_3_VERSION) return true;
  }
  return false;
}

/// A ticket of one virtual host is none for another: the context of a session is the digest of its name.
bool keep_sessions_apart(SSL* ssl, const std::string& vhost) {
  unsigned char digest[SSL_MAX_SID_CTX_LENGTH];
  std::size_t length = 0;
  return EVP_Q_digest(tls_library(nullptr), "SHA256", nullptr, vhost.data(), vhost.size(), digest, &length) == 1 &&
         SSL_set_session_id_context(ssl, digest, static_cast<unsigned>(length)) == 1;
}

}  // namespace

std::shared_ptr<TlsContext> TlsContext::create(const TlsContextOptions& options, std::string* error) {
  std::shared_ptr<TlsContext> context(new TlsContext());
  ERR_clear_error();
  if (!context->init(options, error)) return nullptr;
  return context;
}

bool TlsContext::check_suites(const TlsContextOptions& options, std::string* error) {
  TlsContext context;
  ERR_clear_error();
  return context.open(options, error);
}

TlsContext::~TlsContext() { SSL_CTX_free(ssl_ctx_); }

bool TlsContext::open(const TlsContextOptions& options, std::string* error) {
  options_ = options;
  OSSL_LIB_CTX* library = tls_library(error);
  if (library == nullptr) return false;
  ssl_ctx_ = SSL_CTX_new_ex(library, nullptr, TLS_server_method());
  if (ssl_ctx_ == nullptr) return refuse(error, "TLS context");
  SSL_CTX_set_security_level(ssl_ctx_, kSecurityLevel);
  return set_suites(error);
}

bool TlsContext::init(const TlsContextOptions& options, std::string* error) {
  if (!open(options, error)) return false;
  // No session cache, and tickets for those only that on_client_hello() finds fit for it.
  // Renegotiation is admitted one at a time by TlsStream::set_renegotiation_budget().
  SSL_CTX_set_options(ssl_ctx_, SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
                                    SSL_OP_NO_RENEGOTIATION | preference_options());
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION  // OpenSSL 3.2
  // RFC 8879: secmod reads a client's Certificate from the handshake (handshake_recorder), and unpacks nothing for a stranger.
  SSL_CTX_set_options(ssl_ctx_, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
#endif
  SSL_CTX_set_session_cache_mode(ssl_ctx_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ssl_ctx_, 0);
  SSL_CTX_set_session_id_context(ssl_ctx_, kSessionIdContext, sizeof kSessionIdContext - 1);
  // One record for each read(), and none half-read (see TlsStream::read).
  SSL_CTX_clear_mode(ssl_ctx_, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_client_hello_cb(ssl_ctx_, on_client_hello, this);
  SSL_CTX_set_keylog_callback(ssl_ctx_, on_secret);

  ticket_keys_ = TicketKeys::create(ssl_ctx_, error);
  if (ticket_keys_ == nullptr || !set_client_certificates(error) || !set_ocsp_response(error)) return false;
  for (std::uint32_t index = 0; index < options.certificate_chains.size(); index++) {
    if (!add_chain(options.certificate_chains[index], index, error)) return false;
  }
  if (options.certificate_chains.empty()) {
    *error = "a TLS context needs at least one certificate chain";
    return false;
  }
  return true;
}

bool TlsContext::set_suites(std::string* error) {
  if (options_.min_version > options_.max_version) {
    *error = "the lowest TLS version is above the highest";
    return false;
  }
  if (options_.cipher_list.empty()) options_.cipher_list = kCipherList;
  if (options_.cipher_suites.empty()) options_.cipher_suites = kCipherSuites;
  options_.cipher_list += kNeverCiphers;
  SSL_CTX_set_min_proto_version(ssl_ctx_, options_.min_version);
  SSL_CTX_set_max_proto_version(ssl_ctx_, options_.max_version);
  if (SSL_CTX_set_cipher_list(ssl_ctx_, options_.cipher_list.c_str()) != 1) return refuse(error, "TLS 1.2 cipher list");
  if (SSL_CTX_set_ciphersuites(ssl_ctx_, options_.cipher_suites.c_str()) != 1)
    return refuse(error, "TLS 1.3 cipher suites");
  SSL_CTX_set_dh_auto(ssl_ctx_, 1);
  if (options_.groups.empty()) {
    options_.groups = SSL_CTX_set1_groups_list(ssl_ctx_, kGroups) == 1 ? kGroups : kGroupsWithoutMlKem;
    ERR_clear_error();
  }
  if (SSL_CTX_set1_groups_list(ssl_ctx_, options_.groups.c_str()) != 1) return refuse(error, "key exchange groups");
  if (options_.signature_algorithms.empty()) options_.signature_algorithms = kSignatureAlgorithms;
  if (SSL_CTX_set1_sigalgs_list(ssl_ctx_, options_.signature_algorithms.c_str()) != 1) return refuse(error, "signature algorithms");
  return true;
}

bool TlsContext::add_chain(const std::string& pem, std::uint32_t key_index, std::string* error) {
  const std::string name = "certificate chain " + std::to_string(key_index);
  BioPtr bio = memory_bio(pem);
  X509Ptr leaf = next_certificate(bio.get(), tls_library(nullptr));
  if (leaf == nullptr) return refuse(error, name + " has no usable certificate");

  EVP_PKEY* key = make_remote_key(X509_get0_pubkey(leaf.get()), key_index);
  if (key == nullptr) return refuse(error, name + " has a key that is not RSA, EC or Ed25519");
  // SSL_CTX has one place for each key type; a second certificate would silently replace the first.
  std::string type = EVP_PKEY_get0_type_name(key);
  const bool first = std::find(key_types_.begin(), key_types_.end(), type) == key_types_.end();
  const bool used = first && SSL_CTX_use_certificate(ssl_ctx_, leaf.get()) == 1 &&
                    SSL_CTX_use_PrivateKey(ssl_ctx_, key) == 1;
  EVP_PKEY_free(key);
  if (!first) {
    *error = name + " is the second one with a key of type " + type;
    return false;
  }
  if (!used) return refuse(error, name);
  key_types_.push_back(std::move(type));

  while (X509Ptr issuer = next_certificate(bio.get(), tls_library(nullptr))) {
    if (SSL_CTX_add1_chain_cert(ssl_ctx_, issuer.get()) != 1) return refuse(error, name);
  }
  return ERR_peek_error() == 0 ? true : refuse(error, name);
}

bool TlsContext::set_client_certificates(std::string* error) {
  SSL_CTX_set_purpose(ssl_ctx_, client_purpose());
  SSL_CTX_set_verify(ssl_ctx_, verify_mode(options_.client_certificate), verify_callback(options_.client_certificate));
  if (options_.client_certificate == ClientCertificate::kNone) return true;
  if (options_.ca.empty()) {
    *error = "client certificates need a CA bundle to be verified with";
    return false;
  }
  if (!add_authorities(SSL_CTX_get_cert_store(ssl_ctx_), options_.ca, tls_library(nullptr), error)) return false;
  BioPtr bio = memory_bio(options_.ca);
  while (X509Ptr authority = next_certificate(bio.get(), tls_library(nullptr))) {
    if (SSL_CTX_add_client_CA(ssl_ctx_, authority.get()) != 1) return refuse(error, "CA bundle");
  }
  return true;
}

bool TlsContext::set_ocsp_response(std::string* error) {
  if (options_.ocsp_response.empty()) return true;
  staple_ = OcspStaple::create(options_.ocsp_response, error);
  if (staple_ == nullptr) return false;
  SSL_CTX_set_tlsext_status_cb(ssl_ctx_, on_status_request);
  SSL_CTX_set_tlsext_status_arg(ssl_ctx_, this);
  return true;
}

/// The client asks for the status of the certificate that it is about to get.
int TlsContext::on_status_request(SSL* ssl, void* arg) {
  const OcspStaple& staple = *static_cast<TlsContext*>(arg)->staple_;
  const X509* certificate = SSL_get_certificate(ssl);
  if (certificate == nullptr || !staple.fits(certificate)) return SSL_TLSEXT_ERR_NOACK;
  // OpenSSL frees it.
  void* copy = OPENSSL_memdup(staple.der().data(), staple.der().size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(staple.der().size()));
  return SSL_TLSEXT_ERR_OK;
}

void TlsContext::add_server_name(const std::string& server_name, std::shared_ptr<TlsContext> context,
                                 const std::string& vhost) {
  server_names_[lower(server_name)] = ServerName{std::move(context), vhost};
}

std::uint64_t TlsContext::preference_options() const {
  return options_.server_preference ? SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA : 0;
}

/// SSL_set_SSL_CTX takes over the certificates, signature algorithms and CA store; the rest is ours to do.
bool TlsContext::apply_to(SSL* ssl) const {
  SSL_set_verify(ssl, verify_mode(options_.client_certificate), verify_callback(options_.client_certificate));
  SSL_clear_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_set_options(ssl, preference_options());
  return SSL_set_SSL_CTX(ssl, ssl_ctx_) == ssl_ctx_ && SSL_set_min_proto_version(ssl, options_.min_version) == 1 &&
         SSL_set_max_proto_version(ssl, options_.max_version) == 1 &&
         SSL_set_cipher_list(ssl, options_.cipher_list.c_str()) == 1 &&
         SSL_set_ciphersuites(ssl, options_.cipher_suites.c_str()) == 1 &&
         SSL_set1_groups_list(ssl, options_.groups.c_str()) == 1;
}

bool TlsContext::set_ticket_keys(const std::uint8_t* keys, std::size_t count, std::uint32_t lifetime_sec) {
  SSL_CTX_set_timeout(ssl_ctx_, static_cast<long>(lifetime_sec));
  return ticket_keys_->set(keys, count);
}

/// Only sessions of TLS 1.3, whose resumption makes fresh keys with (EC)DHE: whoever gets the ticket keys later cannot
/// read what was recorded. None where clients show certificates: secmod wants to see the proof of each handshake.
bool TlsContext::resumes(SSL* ssl) const {
  return options_.client_certificate == ClientCertificate::kNone && options_.max_version >= TLS1_3_VERSION && offers_tls13(ssl);
}

/// The only way to the traffic secrets of TLS 1.3. They go to the connection's own state and nowhere else.
void TlsContext::on_secret(const SSL* ssl, const char* line) {
  auto* stream = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  if (stream == nullptr || stream->records_in_.note_secret(line, "CLIENT_TRAFFIC_SECRET_0")) return;
  stream->records_out_.note_secret(line, "SERVER_TRAFFIC_SECRET_0");
}

int TlsContext::on_client_hello(SSL* ssl, int* alert, void* arg) {
  auto* self = static_cast<TlsContext*>(arg);
  auto* stream = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  // A renegotiation keeps the virtual host (and may run on another thread than the map's).
  if (stream == nullptr || stream->handshake_done_) return SSL_CLIENT_HELLO_SUCCESS;
  stream->server_name_ = server_name_of(ssl);
  const auto found = self->server_names_.find(stream->server_name_);
  const bool other = found != self->server_names_.end();
  const TlsContext& chosen = other ? *found->second.context : *self;
  if (chosen.options_.client_certificate == ClientCertificate::kNone) stream->recorder_.stop();
  if (!self->ticket_keys_->empty() && chosen.resumes(ssl)) {
    SSL_clear_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, kTickets);
  }
  if (!other) return SSL_CLIENT_HELLO_SUCCESS;
  stream->vhost_ = found->second.vhost;
  if (chosen.apply_to(ssl) && keep_sessions_apart(ssl, stream->vhost_)) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

}  // namespace ocvpn
