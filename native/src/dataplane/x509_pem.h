// Certificates and revocation lists out of PEM and DER.
#pragma once

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

namespace ocvpn {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct X509CrlFree {
  void operator()(X509_CRL* crl) const { X509_CRL_free(crl); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;
using X509Ptr = std::unique_ptr<X509, X509Free>;
using X509CrlPtr = std::unique_ptr<X509_CRL, X509CrlFree>;

/// Reads from `text`, which must outlive it.
BioPtr memory_bio(const std::string& text);

/// Next certificate of a PEM text, made in `library` (null: the default one). null at the end, and after an error,
/// which then is in OpenSSL's queue.
X509Ptr next_certificate(BIO* pem, OSSL_LIB_CTX* library);

/// Next revocation list of a PEM text; as next_certificate().
X509CrlPtr next_crl(BIO* pem, OSSL_LIB_CTX* library);

/// The first reason in OpenSSL's queue, which is emptied; `fallback` when there is none.
std::string openssl_reason(const char* fallback);

}  // namespace ocvpn
