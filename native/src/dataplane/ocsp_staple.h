// The OCSP response that a TLS server gives along with its certificate (RFC 6066 section 8, RFC 8446 section 4.4.2.1).
#pragma once

#include <openssl/ocsp.h>

#include <memory>
#include <string>

namespace ocvpn {

class OcspStaple {
 public:
  /// `der`: an OCSPResponse (RFC 6960) with status successful. null, and `error` says why, when it is none.
  static std::unique_ptr<OcspStaple> create(const std::string& der, std::string* error);

  /// Whether it is about this certificate (by serial number) and valid now.
  bool fits(const X509* certificate) const;
  const std::string& der() const { return der_; }

 private:
  struct BasicFree {
    void operator()(OCSP_BASICRESP* response) const { OCSP_BASICRESP_free(response); }
  };

  OcspStaple() = default;

  std::string der_;
  std::unique_ptr<OCSP_BASICRESP, BasicFree> response_;
};

}  // namespace ocvpn
