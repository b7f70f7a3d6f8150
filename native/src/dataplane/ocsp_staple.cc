#include "dataplane/ocsp_staple.h"

#include <openssl/err.h>

#include "dataplane/x509_pem.h"

namespace ocvpn {
namespace {

// How far the clock of the responder may be ahead of ours, seconds.
constexpr long kClockSkew = 300;
constexpr long kAnyAge = -1;

struct ResponseFree {
  void operator()(OCSP_RESPONSE* response) const { OCSP_RESPONSE_free(response); }
};

}  // namespace

std::unique_ptr<OcspStaple> OcspStaple::create(const std::string& der, std::string* error) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  std::unique_ptr<OCSP_RESPONSE, ResponseFree> response(
      d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(der.size())));
  std::unique_ptr<OcspStaple> staple(new OcspStaple());
  const bool successful =
      response != nullptr && OCSP_response_status(response.get()) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
  if (successful) staple->response_.reset(OCSP_response_get1_basic(response.get()));
  if (staple->response_ == nullptr) {
    *error = "OCSP response: " + openssl_reason("the responder reports a failure");
    return nullptr;
  }
  staple->der_ = der;
  return staple;
}

bool OcspStaple::fits(const X509* certificate) const {
  const int count = OCSP_resp_count(response_.get());
  for (int i = 0; i < count; i++) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(response_.get(), i);
    ASN1_INTEGER* serial = nullptr;
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single));
    if (OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id) != 1) continue;
    if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) != 0) continue;
    ASN1_GENERALIZEDTIME* from = nullptr;
    ASN1_GENERALIZEDTIME* until = nullptr;
    OCSP_single_get0_status(single, nullptr, nullptr, &from, &until);
    const bool valid = OCSP_check_validity(from, until, kClockSkew, kAnyAge) == 1;
    ERR_clear_error();
    return valid;
  }
  return false;
}

}  // namespace ocvpn
