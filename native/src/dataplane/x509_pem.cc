#include "dataplane/x509_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace ocvpn {
namespace {

/// The end of a PEM text is no error.
void clear_end_of_pem() {
  const unsigned long reason = ERR_peek_last_error();
  if (ERR_GET_LIB(reason) == ERR_LIB_PEM && ERR_GET_REASON(reason) == PEM_R_NO_START_LINE) ERR_clear_error();
}

}  // namespace

BioPtr memory_bio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

X509Ptr next_certificate(BIO* pem, OSSL_LIB_CTX* library) {
  X509* certificate = X509_new_ex(library, nullptr);
  if (certificate == nullptr || PEM_read_bio_X509(pem, &certificate, nullptr, nullptr) == nullptr) {
    X509_free(certificate);
    clear_end_of_pem();
    return nullptr;
  }
  return X509Ptr(certificate);
}

X509CrlPtr next_crl(BIO* pem, OSSL_LIB_CTX* library) {
  X509_CRL* crl = X509_CRL_new_ex(library, nullptr);
  if (crl == nullptr || PEM_read_bio_X509_CRL(pem, &crl, nullptr, nullptr) == nullptr) {
    X509_CRL_free(crl);
    clear_end_of_pem();
    return nullptr;
  }
  return X509CrlPtr(crl);
}

std::string openssl_reason(const char* fallback) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason != nullptr ? reason : fallback;
  ERR_clear_error();
  return text;
}

}  // namespace ocvpn
