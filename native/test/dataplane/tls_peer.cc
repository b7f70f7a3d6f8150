#include "dataplane/tls_peer.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace ocvpn::test {
namespace {

EVP_PKEY* generate(const char* type) {
  if (std::strcmp(type, "RSA") == 0) return EVP_RSA_gen(2048);
  if (std::strcmp(type, "EC") == 0) return EVP_EC_gen("P-256");
  return EVP_PKEY_Q_keygen(nullptr, nullptr, type);
}

std::string self_sign(EVP_PKEY* key, bool hashes) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, hashes ? EVP_sha256() : nullptr);
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(length));
  BIO_free(bio);
  X509_free(certificate);
  return pem;
}

const EVP_MD* digest_of(uint16_t scheme) {
  const int number = scheme >> 8 == 8 ? scheme & 0xff : scheme >> 8;
  return number == 4 ? EVP_sha256() : number == 5 ? EVP_sha384() : number == 6 ? EVP_sha512() : nullptr;
}

}  // namespace

Identity::Identity(const char* type)
    : key_(generate(type)), pem_(self_sign(key_, std::strcmp(type, "ED25519") != 0)) {}

Identity::~Identity() { EVP_PKEY_free(key_); }

TlsBytes Identity::sign(const SignRequest& request) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  TlsBytes signature(1024);
  std::size_t length = signature.size();
  const bool pss = request.scheme >= 0x0804 && request.scheme <= 0x0806;
  EVP_DigestSignInit(context, &parameters, digest_of(request.scheme), nullptr, key_);
  if (pss) {
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
  }
  if (EVP_DigestSign(context, signature.data(), &length, request.data.data(), request.data.size()) != 1) length = 0;
  EVP_MD_CTX_free(context);
  signature.resize(length);
  return signature;
}

std::shared_ptr<TlsContext> context_of(const Identity& identity, int max_version) {
  TlsContextOptions options;
  options.certificate_chains = {identity.pem()};
  options.max_version = max_version;
  std::string error;
  return TlsContext::create(options, &error);
}

TlsPair::TlsPair(const Identity& identity, int max_version) : identity_(identity) {
  int ends[2] = {-1, -1};
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
  const int room = 1 << 20;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  client_fd_ = ends[1];
  server_ = TlsStream::accept(context_of(identity, max_version), ends[0]);
  client_context_ = SSL_CTX_new(TLS_client_method());
  client_ = SSL_new(client_context_);
  SSL_set_fd(client_, client_fd_);
  SSL_set_connect_state(client_);
}

TlsPair::~TlsPair() {
  SSL_free(client_);
  SSL_CTX_free(client_context_);
  close(client_fd_);
}

bool TlsPair::client_step() {
  ERR_clear_error();
  return SSL_do_handshake(client_) == 1;
}

void TlsPair::server_receive() {
  while (server_->receive().status == TlsStatus::kOk) {
  }
}

bool TlsPair::run_to_signature() {
  for (int round = 0; round < 10; ++round) {
    client_step();
    server_receive();
    const TlsStatus status = server_->handshake();
    server_->flush();
    if (status == TlsStatus::kWantSign) return true;
    if (status == TlsStatus::kError) return false;
  }
  return false;
}

bool TlsPair::answer() {
  const SignRequest* request = server_->sign_request();
  if (request == nullptr) return false;
  const uint32_t id = request->id;
  const TlsBytes signature = identity_.sign(*request);
  return server_->complete_sign(id, signature.data(), signature.size());
}

bool TlsPair::handshake() {
  for (int round = 0; round < 10; ++round) {
    const bool client_done = client_step();
    server_receive();
    TlsStatus status = server_->handshake();
    if (status == TlsStatus::kWantSign && answer()) status = server_->handshake();
    server_->flush();
    if (status == TlsStatus::kError) return false;
    if (client_done && status == TlsStatus::kOk) {
      if (own_records) server_->use_own_records();
      return true;
    }
  }
  return false;
}

TlsResult TlsPair::server_read(TlsBytes* out, std::size_t capacity) {
  server_receive();
  out->resize(capacity);
  TlsResult result = server_->read(out->data(), capacity);
  if (result.status == TlsStatus::kWantSign && answer()) result = server_->read(out->data(), capacity);
  server_->flush();
  out->resize(result.bytes);
  return result;
}

TlsBytes TlsPair::client_read() {
  ERR_clear_error();
  TlsBytes data(TlsStream::kMaxPlaintext);
  const int count = SSL_read(client_, data.data(), static_cast<int>(data.size()));
  data.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return data;
}

bool TlsPair::client_write(const TlsBytes& data) {
  ERR_clear_error();
  return SSL_write(client_, data.data(), static_cast<int>(data.size())) == static_cast<int>(data.size());
}

const Identity& ec() {
  static const Identity identity("EC");
  return identity;
}

TlsBytes text(const char* value) { return TlsBytes(value, value + std::strlen(value)); }

TlsBytes client_psk(SSL* client) {
  TlsBytes key(32);
  const char label[] = "EXPORTER-openconnect-psk";
  SSL_export_keying_material(client, key.data(), key.size(), label, sizeof label - 1, nullptr, 0, 0);
  return key;
}

}  // namespace ocvpn::test
