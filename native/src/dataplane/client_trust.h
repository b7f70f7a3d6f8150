// Which client certificates are good: authorities and revocation lists.
#pragma once

#include <openssl/x509_vfy.h>

#include <memory>
#include <string>
#include <vector>

namespace ocvpn {

/// Adds the certificates of a PEM bundle to `store`, and says how such a store verifies: any of them is trusted, an
/// intermediate one too. False, with a sentence in `error`, when there is none.
bool add_authorities(X509_STORE* store, const std::string& pem, OSSL_LIB_CTX* library, std::string* error);

/// Purpose (X509_VERIFY_PARAM_set_purpose) of a TLS client's chain. OpenSSL's own one refuses anyExtendedKeyUsage, which
/// RFC 5280 section 4.2.1.12 leaves to us and GnuTLS accepts. 0: out of memory.
int client_purpose();

class ClientTrust {
 public:
  /// `ca`: PEM bundle. `crl`: PEM (any number) or DER (one), empty for none. null, and `error` says why in one
  /// sentence, when one of them holds nothing usable.
  static std::unique_ptr<ClientTrust> create(const std::string& ca, const std::string& crl, std::string* error);

  /// Verifies a chain (DER, leaf first) now, for a TLS client (RFC 5280 section 6). '' when it is good, else why not.
  /// A CA that has no list among the given ones revokes nothing; an outdated list revokes everything of its CA.
  std::string verify(const std::vector<std::string>& chain) const;

 private:
  struct StoreFree {
    void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  };

  ClientTrust() = default;
  bool add_lists(const std::string& crl, std::string* error);

  std::unique_ptr<X509_STORE, StoreFree> store_;
};

}  // namespace ocvpn
