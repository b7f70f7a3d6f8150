#include "dataplane/tls_facts.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "dataplane/tls_stream.h"

namespace ocvpn {
namespace {

std::string text_or_empty(const char* text) { return text != nullptr ? text : ""; }

std::vector<std::uint8_t> der_of(X509* certificate) {
  const int length = i2d_X509(certificate, nullptr);
  if (length <= 0) return {};
  std::vector<std::uint8_t> der(static_cast<std::size_t>(length));
  unsigned char* end = der.data();
  i2d_X509(certificate, &end);
  return der;
}

}  // namespace

TlsFacts tls_facts(const TlsStream& stream) {
  SSL* ssl = stream.ssl();
  TlsFacts facts;
  facts.version = text_or_empty(SSL_get_version(ssl));
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (cipher != nullptr) facts.cipher = text_or_empty(SSL_CIPHER_get_name(cipher));
  const int group = static_cast<int>(SSL_get_negotiated_group(ssl));
  if (group > 0) facts.group = text_or_empty(SSL_group_to_name(ssl, group));
  facts.signature_scheme = stream.signature_scheme();
  facts.key_index = stream.key_index();
  facts.server_name = stream.server_name();
  facts.vhost = stream.vhost();
  facts.resumed = SSL_session_reused(ssl) == 1;
  facts.secure_renegotiation = SSL_get_secure_renegotiation_support(ssl) == 1;
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate != nullptr) {
    const long verdict = SSL_get_verify_result(ssl);
    if (verdict == X509_V_OK) {
      facts.peer_certificate = der_of(certificate);
    } else {
      facts.verify_error = X509_verify_cert_error_string(verdict);
    }
  }
  return facts;
}

}  // namespace ocvpn
