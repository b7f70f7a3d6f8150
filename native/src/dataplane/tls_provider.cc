#include "dataplane/tls_provider.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <mutex>

#include "dataplane/tls_job_stack.h"
#include "dataplane/tls_remote_key.h"

namespace ocvpn {
namespace {

constexpr char kProviderName[] = "ocvpn";

const OSSL_ALGORITHM* query_operation(void*, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_KEYMGMT:
      return kRemoteKeyManagement;
    case OSSL_OP_SIGNATURE:
      return kRemoteSignatures;
    default:
      return nullptr;
  }
}

const OSSL_DISPATCH kProviderFunctions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)(void)>(query_operation)},
    {0, nullptr},
};

OSSL_LIB_CTX* library = nullptr;

int provider_init(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out, void** provider_context) {
  *out = kProviderFunctions;
  *provider_context = library;
  return 1;
}

bool load_library() {
  install_job_stacks();
  library = OSSL_LIB_CTX_new();
  // "?provider=default": everything but the keys that ask for us explicitly is OpenSSL's own.
  return library != nullptr && OSSL_PROVIDER_load(library, "default") != nullptr &&
         OSSL_PROVIDER_add_builtin(library, kProviderName, provider_init) == 1 &&
         OSSL_PROVIDER_load(library, kProviderName) != nullptr &&
         EVP_set_default_properties(library, "?provider=default") == 1;
}

const char* key_type_name(EVP_PKEY* key) {
  for (const char* name : {"RSA", "EC", "ED25519"}) {
    if (EVP_PKEY_is_a(key, name) == 1) return name;
  }
  return nullptr;
}

}  // namespace

OSSL_LIB_CTX* tls_library(std::string* error) {
  static std::once_flag once;
  static bool loaded = false;
  std::call_once(once, [] { loaded = load_library(); });
  if (!loaded) {
    if (error != nullptr) *error = "OpenSSL in this process does not accept the remote-key provider";
    return nullptr;
  }
  return library;
}

EVP_PKEY* make_remote_key(EVP_PKEY* public_key, std::uint32_t key_index) {
  const char* name = key_type_name(public_key);
  OSSL_LIB_CTX* context = tls_library(nullptr);
  if (name == nullptr || context == nullptr) return nullptr;

  EVP_PKEY_CTX* import = EVP_PKEY_CTX_new_from_name(context, name, kRemoteKeyProperty);
  unsigned int index = key_index;
  void* pointer = public_key;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_ptr(kParamPublicKey, &pointer, sizeof pointer),
      OSSL_PARAM_construct_uint(kParamKeyIndex, &index),
      OSSL_PARAM_construct_end(),
  };
  EVP_PKEY* key = nullptr;
  if (import == nullptr || EVP_PKEY_fromdata_init(import) != 1 ||
      EVP_PKEY_fromdata(import, &key, EVP_PKEY_KEYPAIR, const_cast<OSSL_PARAM*>(parameters)) != 1) {
    EVP_PKEY_free(key);
    key = nullptr;
  }
  EVP_PKEY_CTX_free(import);
  return key;
}

}  // namespace ocvpn
