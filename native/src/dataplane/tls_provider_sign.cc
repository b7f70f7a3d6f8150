// Signature operations of the remote-key provider (provider-signature(7)): EVP_DigestSign in one shot, turned
// into a TLS SignatureScheme and handed to SignSlot.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "dataplane/tls_provider.h"
#include "dataplane/tls_sign.h"

namespace ocvpn {
namespace {

struct Digest {
  const char* names[3];
  unsigned bytes;
  // SignatureSchemes of RFC 8446 4.2.3
  std::uint16_t rsa_pkcs1;
  std::uint16_t rsa_pss;
  std::uint16_t ecdsa;
};

constexpr Digest kDigests[] = {
    {{"SHA2-256", "SHA256", "SHA-256"}, 32, 0x0401, 0x0804, 0x0403},
    {{"SHA2-384", "SHA384", "SHA-384"}, 48, 0x0501, 0x0805, 0x0503},
    {{"SHA2-512", "SHA512", "SHA-512"}, 64, 0x0601, 0x0806, 0x0603},
};
constexpr std::uint16_t kEd25519Scheme = 0x0807;

const Digest* find_digest(const char* name) {
  for (const Digest& digest : kDigests) {
    for (const char* alias : digest.names) {
      if (name != nullptr && OPENSSL_strcasecmp(name, alias) == 0) return &digest;
    }
  }
  return nullptr;
}

/// One signature: EVP_MD_CTX's algorithm context.
struct Operation {
  const RemoteKey* key = nullptr;
  const Digest* digest = nullptr;
  bool pss = false;
};

void* sign_new(void*, const char*) { return new (std::nothrow) Operation{}; }

void sign_free(void* data) { delete static_cast<Operation*>(data); }

bool is_integer(const OSSL_PARAM& parameter) {
  return parameter.data_type == OSSL_PARAM_INTEGER || parameter.data_type == OSSL_PARAM_UNSIGNED_INTEGER;
}

bool set_padding(Operation* operation, const OSSL_PARAM& parameter) {
  int padding = 0;
  if (is_integer(parameter)) {
    if (OSSL_PARAM_get_int(&parameter, &padding) != 1) return false;
  } else {
    const char* name = nullptr;
    if (OSSL_PARAM_get_utf8_string_ptr(&parameter, &name) != 1 || name == nullptr) return false;
    if (std::strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0) padding = RSA_PKCS1_PADDING;
    if (std::strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0) padding = RSA_PKCS1_PSS_PADDING;
  }
  operation->pss = padding == RSA_PKCS1_PSS_PADDING;
  return operation->pss || padding == RSA_PKCS1_PADDING;
}

/// TLS knows one salt length only: that of the digest.
bool check_salt_length(const Operation* operation, const OSSL_PARAM& parameter) {
  int length = 0;
  if (is_integer(parameter)) {
    if (OSSL_PARAM_get_int(&parameter, &length) != 1) return false;
  } else {
    const char* text = nullptr;
    if (OSSL_PARAM_get_utf8_string_ptr(&parameter, &text) != 1 || text == nullptr) return false;
    length = std::strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0 ? RSA_PSS_SALTLEN_DIGEST : std::atoi(text);
  }
  return length == RSA_PSS_SALTLEN_DIGEST ||
         (operation->digest != nullptr && length == static_cast<int>(operation->digest->bytes));
}

int sign_set_params(void* data, const OSSL_PARAM parameters[]) {
  auto* operation = static_cast<Operation*>(data);
  if (parameters == nullptr) return 1;
  for (const OSSL_PARAM* parameter = parameters; parameter->key != nullptr; parameter++) {
    if (std::strcmp(parameter->key, OSSL_SIGNATURE_PARAM_PAD_MODE) == 0) {
      if (!set_padding(operation, *parameter)) return 0;
    } else if (std::strcmp(parameter->key, OSSL_SIGNATURE_PARAM_PSS_SALTLEN) == 0) {
      if (!check_salt_length(operation, *parameter)) return 0;
    }
  }
  return 1;
}

const OSSL_PARAM* sign_settable_params(void* data, void*) {
  static const OSSL_PARAM rsa[] = {
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, nullptr, 0),
      OSSL_PARAM_END,
  };
  static const OSSL_PARAM none[] = {OSSL_PARAM_END};
  const auto* operation = static_cast<const Operation*>(data);
  const bool other = operation != nullptr && operation->key != nullptr && operation->key->type != RemoteKeyType::kRsa;
  return other ? none : rsa;
}

int sign_init(void* data, const char* digest_name, void* key_data, const OSSL_PARAM parameters[]) {
  auto* operation = static_cast<Operation*>(data);
  if (key_data != nullptr) operation->key = static_cast<const RemoteKey*>(key_data);
  if (operation->key == nullptr || !operation->key->remote) return 0;
  const bool named = digest_name != nullptr && digest_name[0] != '\0';
  operation->digest = find_digest(digest_name);
  const bool wants_digest = operation->key->type != RemoteKeyType::kEd25519;
  // Ed25519 hashes by itself; the others only with a digest that TLS 1.2 and 1.3 still trust.
  if (wants_digest ? operation->digest == nullptr : named) return 0;
  return sign_set_params(data, parameters);
}

std::uint16_t scheme_of(const Operation& operation) {
  switch (operation.key->type) {
    case RemoteKeyType::kRsa:
      return operation.pss ? operation.digest->rsa_pss : operation.digest->rsa_pkcs1;
    case RemoteKeyType::kEc:
      return operation.digest->ecdsa;
    case RemoteKeyType::kEd25519:
      return kEd25519Scheme;
  }
  return 0;
}

int sign_message(void* data, unsigned char* signature, std::size_t* signature_length, std::size_t capacity,
                 const unsigned char* message, std::size_t length) {
  const auto* operation = static_cast<const Operation*>(data);
  if (operation->key == nullptr) return 0;
  const int size = EVP_PKEY_get_size(operation->key->public_key);
  if (size <= 0) return 0;
  if (signature == nullptr) {
    *signature_length = static_cast<std::size_t>(size);
    return 1;
  }
  return SignSlot::sign(operation->key->key_index, scheme_of(*operation), message, length, signature, capacity,
                        signature_length)
             ? 1
             : 0;
}

using Function = void (*)(void);

const OSSL_DISPATCH kSignatureFunctions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, reinterpret_cast<Function>(sign_new)},
    {OSSL_FUNC_SIGNATURE_FREECTX, reinterpret_cast<Function>(sign_free)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, reinterpret_cast<Function>(sign_init)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, reinterpret_cast<Function>(sign_message)},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, reinterpret_cast<Function>(sign_set_params)},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, reinterpret_cast<Function>(sign_settable_params)},
    {0, nullptr},
};

}  // namespace

const OSSL_ALGORITHM kRemoteSignatures[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", kRemoteKeyProperty, kSignatureFunctions, "remote RSA"},
    {"ECDSA", kRemoteKeyProperty, kSignatureFunctions, "remote ECDSA"},
    {"ED25519:1.3.101.112", kRemoteKeyProperty, kSignatureFunctions, "remote Ed25519"},
    {nullptr, nullptr, nullptr, nullptr},
};

}  // namespace ocvpn
