#include "dataplane/client_trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "dataplane/x509_pem.h"

namespace ocvpn {
namespace {

// 112 bits, as the TLS contexts have it: RSA from 2048 bits, no SHA-1.
constexpr int kAuthLevel = 2;

struct StackFree {
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
};
struct StoreCtxFree {
  void operator()(X509_STORE_CTX* ctx) const { X509_STORE_CTX_free(ctx); }
};

/// A CA without a list in crl has revoked nothing.
int tolerate_missing_list(int ok, X509_STORE_CTX* ctx) {
  return X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL ? 1 : ok;
}

X509Ptr certificate_of(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = bytes;
  X509Ptr certificate(d2i_X509(nullptr, &end, static_cast<long>(der.size())));
  // Nothing may follow it.
  return certificate != nullptr && end == bytes + der.size() ? std::move(certificate) : nullptr;
}

// Behind OpenSSL's, and not among those that it hands out itself one after the other.
constexpr int kClientPurpose = 0x6f63;

// As OpenSSL's "ssl_client", but for anyExtendedKeyUsage.
int is_for_client(const X509_PURPOSE*, const X509* const_certificate, int non_leaf) {
  auto* certificate = const_cast<X509*>(const_certificate);
  const uint32_t purposes = X509_get_extended_key_usage(certificate);  // UINT32_MAX without the extension
  if ((purposes & (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0) return 0;
  if (non_leaf != 0) return X509_check_ca(certificate);
  return (X509_get_key_usage(certificate) & (KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT)) != 0;
}

bool is_pem(const std::string& text) { return text.find("-----BEGIN") != std::string::npos; }

}  // namespace

int client_purpose() {
  static const bool known = X509_PURPOSE_add(kClientPurpose, X509_TRUST_SSL_CLIENT, 0, is_for_client, "TLS client of a VPN",
                                             "ocvpn_client", nullptr) == 1;
  return known ? kClientPurpose : 0;
}

bool add_authorities(X509_STORE* store, const std::string& pem, OSSL_LIB_CTX* library, std::string* error) {
  BioPtr bio = memory_bio(pem);
  std::size_t count = 0;
  bool usable = bio != nullptr;
  while (X509Ptr authority = usable ? next_certificate(bio.get(), library) : nullptr) {
    usable = X509_STORE_add_cert(store, authority.get()) == 1;
    count++;
  }
  if (!usable || count == 0 || ERR_peek_error() != 0) {
    *error = "CA bundle: " + openssl_reason("it holds no certificate");
    return false;
  }
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return true;
}

std::unique_ptr<ClientTrust> ClientTrust::create(const std::string& ca, const std::string& crl, std::string* error) {
  ERR_clear_error();
  std::unique_ptr<ClientTrust> trust(new ClientTrust());
  trust->store_.reset(X509_STORE_new());
  if (trust->store_ == nullptr) {
    *error = "out of memory";
    return nullptr;
  }
  if (!add_authorities(trust->store_.get(), ca, nullptr, error)) return nullptr;
  if (!crl.empty() && !trust->add_lists(crl, error)) return nullptr;
  return trust;
}

bool ClientTrust::add_lists(const std::string& crl, std::string* error) {
  std::size_t count = 0;
  bool usable = true;
  const auto add = [&](X509_CRL* list) {
    usable = usable && X509_STORE_add_crl(store_.get(), list) == 1;
    count++;
  };
  if (is_pem(crl)) {
    BioPtr bio = memory_bio(crl);
    while (X509CrlPtr list = next_crl(bio.get(), nullptr)) add(list.get());
  } else {
    const auto* bytes = reinterpret_cast<const unsigned char*>(crl.data());
    X509CrlPtr list(d2i_X509_CRL(nullptr, &bytes, static_cast<long>(crl.size())));
    if (list != nullptr) add(list.get());
  }
  if (!usable || count == 0 || ERR_peek_error() != 0) {
    *error = "revocation list: " + openssl_reason("it holds none");
    return false;
  }
  X509_STORE_set_flags(store_.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return true;
}

std::string ClientTrust::verify(const std::vector<std::string>& chain) const {
  ERR_clear_error();
  std::unique_ptr<STACK_OF(X509), StackFree> others(sk_X509_new_null());
  X509Ptr leaf;
  for (const std::string& der : chain) {
    X509Ptr certificate = certificate_of(der);
    if (certificate == nullptr) return "not a certificate: " + openssl_reason("bytes follow it");
    if (leaf == nullptr) leaf = std::move(certificate);
    else if (sk_X509_push(others.get(), certificate.get()) > 0) certificate.release();
  }
  std::unique_ptr<X509_STORE_CTX, StoreCtxFree> ctx(X509_STORE_CTX_new());
  if (leaf == nullptr) return "no certificate";
  if (ctx == nullptr || X509_STORE_CTX_init(ctx.get(), store_.get(), leaf.get(), others.get()) != 1)
    return openssl_reason("out of memory");
  X509_STORE_CTX_set_default(ctx.get(), "ssl_client");
  X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(ctx.get()), client_purpose());
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx.get()), kAuthLevel);
  X509_STORE_CTX_set_verify_cb(ctx.get(), tolerate_missing_list);
  const bool good = X509_verify_cert(ctx.get()) == 1;
  const int verdict = X509_STORE_CTX_get_error(ctx.get());
  ERR_clear_error();
  if (good) return {};
  return verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : "the chain cannot be verified";
}

}  // namespace ocvpn
