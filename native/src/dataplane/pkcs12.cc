#include "dataplane/pkcs12.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <memory>

#include "dataplane/x509_pem.h"

namespace ocvpn {
namespace {

// Of the key derivation and of the MAC; importers of phones refuse much more.
constexpr int kIterations = 100'000;
constexpr int kLegacyIterations = 2048;

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct ChainFree {
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
};
struct Pkcs12Free {
  void operator()(PKCS12* file) const { PKCS12_free(file); }
};

/// No terminal is asked for the password of an encrypted key.
int no_password(char*, int, int, void*) { return 0; }

}  // namespace

std::vector<std::uint8_t> make_pkcs12(const Pkcs12Options& options, std::string* error) {
  ERR_clear_error();
  const auto refuse = [error](const char* what) {
    *error = std::string(what) + ": " + openssl_reason("not accepted by OpenSSL");
    return std::vector<std::uint8_t>();
  };
  BioPtr certificate_pem = memory_bio(options.certificate);
  X509Ptr certificate = next_certificate(certificate_pem.get(), nullptr);
  if (certificate == nullptr) return refuse("certificate");
  BioPtr key_pem = memory_bio(options.key);
  std::unique_ptr<EVP_PKEY, KeyFree> key(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, no_password, nullptr));
  if (key == nullptr) return refuse("private key");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) return refuse("certificate and private key");
  std::unique_ptr<STACK_OF(X509), ChainFree> authorities(sk_X509_new_null());
  BioPtr authorities_pem = memory_bio(options.authorities);
  while (X509Ptr authority = next_certificate(authorities_pem.get(), nullptr)) {
    if (sk_X509_push(authorities.get(), authority.get()) > 0) authority.release();
  }
  if (ERR_peek_error() != 0) return refuse("authorities");

  const int cipher = options.legacy ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : NID_aes_256_cbc;
  const int iterations = options.legacy ? kLegacyIterations : kIterations;
  constexpr int kMacLater = -1;
  std::unique_ptr<PKCS12, Pkcs12Free> file(PKCS12_create(options.password.c_str(), options.friendly_name.c_str(),
                                                         key.get(), certificate.get(), authorities.get(), cipher,
                                                         cipher, iterations, kMacLater, 0));
  const EVP_MD* digest = options.legacy ? EVP_sha1() : EVP_sha256();
  if (file == nullptr || PKCS12_set_mac(file.get(), options.password.c_str(), -1, nullptr, 0, iterations, digest) != 1)
    return refuse("PKCS #12");
  const int length = i2d_PKCS12(file.get(), nullptr);
  if (length <= 0) return refuse("PKCS #12");
  std::vector<std::uint8_t> der(static_cast<std::size_t>(length));
  unsigned char* end = der.data();
  i2d_PKCS12(file.get(), &end);
  return der;
}

}  // namespace ocvpn
