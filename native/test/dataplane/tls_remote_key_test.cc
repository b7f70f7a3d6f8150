// The provider offers what a handshake signs, and nothing else.
#include "dataplane/tls_remote_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "dataplane/tls_peer.h"
#include "dataplane/tls_sign.h"
#include "support/check.h"

using namespace ocvpn;
using namespace ocvpn::test;

namespace {

/** The remote key for the certificate of an identity. */
class Remote {
 public:
  explicit Remote(const Identity& identity) {
    BIO* bio = BIO_new_mem_buf(identity.pem().data(), static_cast<int>(identity.pem().size()));
    certificate_ = X509_new_ex(tls_library(nullptr), nullptr);
    PEM_read_bio_X509(bio, &certificate_, nullptr, nullptr);
    BIO_free(bio);
    key_ = make_remote_key(X509_get0_pubkey(certificate_), 3);
  }
  ~Remote() {
    EVP_PKEY_free(key_);
    X509_free(certificate_);
    ERR_clear_error();
  }
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;

  EVP_PKEY* key() const { return key_; }
  X509* certificate() const { return certificate_; }

 private:
  X509* certificate_ = nullptr;
  EVP_PKEY* key_ = nullptr;
};

/** Whether a digest-sign can be started (and, for RSA, PSS with that salt length be set). */
bool can_start(EVP_PKEY* key, const char* digest, int salt_length = 0) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  bool ok = EVP_DigestSignInit_ex(context, &parameters, digest, tls_library(nullptr), nullptr, key, nullptr) == 1;
  if (ok && salt_length != 0) {
    ok = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt_length) == 1;
  }
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return ok;
}

}  // namespace

TEST(remote_keys_match_their_certificate_and_no_other) {
  for (const char* type : {"RSA", "EC", "ED25519"}) {
    const Identity identity(type), stranger(type);
    const Remote remote(identity), other(stranger);
    REQUIRE(remote.key() != nullptr);
    CHECK_EQ(X509_check_private_key(remote.certificate(), remote.key()), 1);
    CHECK_EQ(X509_check_private_key(other.certificate(), remote.key()), 0);
    CHECK_EQ(EVP_PKEY_get_size(remote.key()), EVP_PKEY_get_size(identity.key()));
    CHECK_EQ(EVP_PKEY_get_bits(remote.key()), EVP_PKEY_get_bits(identity.key()));
  }
}

TEST(other_key_types_are_refused) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(tls_library(nullptr), nullptr, "ED448");
  REQUIRE(key != nullptr);
  CHECK(make_remote_key(key, 0) == nullptr);
  EVP_PKEY_free(key);
}

TEST(only_the_digests_and_salts_of_tls) {
  const Identity rsa("RSA"), ec("EC"), ed("ED25519");
  const Remote remote_rsa(rsa), remote_ec(ec), remote_ed(ed);
  for (const char* digest : {"SHA256", "SHA384", "SHA512"}) {
    CHECK(can_start(remote_rsa.key(), digest));
    CHECK(can_start(remote_rsa.key(), digest, RSA_PSS_SALTLEN_DIGEST));
    CHECK(!can_start(remote_rsa.key(), digest, RSA_PSS_SALTLEN_MAX));
    CHECK(!can_start(remote_rsa.key(), digest, 20));
    CHECK(can_start(remote_ec.key(), digest));
    CHECK(!can_start(remote_ed.key(), digest));
  }
  for (const char* digest : {"SHA1", "MD5", "SHA224", "SHA3-256"}) {
    CHECK(!can_start(remote_rsa.key(), digest));
    CHECK(!can_start(remote_ec.key(), digest));
  }
  CHECK(can_start(remote_ed.key(), nullptr));
}

TEST(there_is_no_raw_operation) {
  for (const char* type : {"RSA", "EC", "ED25519"}) {
    const Identity identity(type);
    const Remote remote(identity);
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_pkey(tls_library(nullptr), remote.key(), nullptr);
    CHECK(EVP_PKEY_sign_init(context) <= 0);
    CHECK(EVP_PKEY_decrypt_init(context) <= 0);
    CHECK(EVP_PKEY_derive_init(context) <= 0);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM* parameters = nullptr;
    CHECK(EVP_PKEY_todata(remote.key(), EVP_PKEY_KEYPAIR, &parameters) != 1);
    CHECK(parameters == nullptr);
  }
}

TEST(nothing_is_signed_outside_a_handshake) {
  const Identity identity("EC");
  const Remote remote(identity);
  const uint8_t message[] = "not a handshake";
  uint8_t signature[128];
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  REQUIRE(EVP_DigestSignInit_ex(context, nullptr, "SHA256", tls_library(nullptr), nullptr, remote.key(), nullptr) == 1);
  std::size_t length = sizeof signature;
  CHECK(EVP_DigestSign(context, signature, &length, message, sizeof message) != 1);
  SignSlot slot;
  {
    SignSlot::Scope scope(slot);
    length = sizeof signature;
    CHECK(EVP_DigestSign(context, signature, &length, message, sizeof message) != 1);
  }
  CHECK(!slot.in_job());
  EVP_MD_CTX_free(context);
}
