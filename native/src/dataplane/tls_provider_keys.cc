// Key management of the remote-key provider (provider-keymgmt(7)): a key is the public key of OpenSSL's own
// provider plus an index. Questions about it are passed on; there is no export, so OpenSSL can move the key to
// no other provider and has to sign here.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <new>

#include "dataplane/tls_provider.h"

namespace ocvpn {
namespace {

const char* type_name(RemoteKeyType type) {
  switch (type) {
    case RemoteKeyType::kRsa:
      return "RSA";
    case RemoteKeyType::kEc:
      return "EC";
    case RemoteKeyType::kEd25519:
      return "ED25519";
  }
  return "";
}

template <RemoteKeyType type>
void* key_new(void* provider_context) {
  auto* key = new (std::nothrow) RemoteKey{};
  if (key == nullptr) return nullptr;
  key->type = type;
  key->library = static_cast<OSSL_LIB_CTX*>(provider_context);
  return key;
}

void key_free(void* data) {
  auto* key = static_cast<RemoteKey*>(data);
  if (key == nullptr) return;
  EVP_PKEY_free(key->public_key);
  delete key;
}

/// We say that the private half is here: it is reachable.
int key_has(const void* data, int selection) {
  const auto* key = static_cast<const RemoteKey*>(data);
  if (key == nullptr || key->public_key == nullptr) return 0;
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->remote ? 1 : 0;
}

int key_match(const void* left, const void* right, int) {
  const auto* a = static_cast<const RemoteKey*>(left);
  const auto* b = static_cast<const RemoteKey*>(right);
  if (a->public_key == nullptr || b->public_key == nullptr) return 0;
  return EVP_PKEY_eq(a->public_key, b->public_key) == 1 ? 1 : 0;
}

/// A remote key, made by make_remote_key().
int import_remote(RemoteKey* key, const OSSL_PARAM* pointer, const OSSL_PARAM* index) {
  const void* value = nullptr;
  std::size_t size = 0;
  unsigned int key_index = 0;
  if (OSSL_PARAM_get_octet_ptr(pointer, &value, &size) != 1 || OSSL_PARAM_get_uint(index, &key_index) != 1) return 0;
  auto* public_key = static_cast<EVP_PKEY*>(const_cast<void*>(value));
  if (EVP_PKEY_up_ref(public_key) != 1) return 0;
  key->public_key = public_key;
  key->key_index = key_index;
  key->remote = true;
  return 1;
}

/// The public key of a certificate, which OpenSSL brings to us to compare it with a remote key.
int import_public(RemoteKey* key, const OSSL_PARAM parameters[]) {
  EVP_PKEY_CTX* import = EVP_PKEY_CTX_new_from_name(key->library, type_name(key->type), "provider=default");
  const int done = import != nullptr && EVP_PKEY_fromdata_init(import) == 1 &&
                   EVP_PKEY_fromdata(import, &key->public_key, EVP_PKEY_PUBLIC_KEY,
                                     const_cast<OSSL_PARAM*>(parameters)) == 1;
  EVP_PKEY_CTX_free(import);
  return done;
}

int key_import(void* data, int, const OSSL_PARAM parameters[]) {
  auto* key = static_cast<RemoteKey*>(data);
  if (key->public_key != nullptr) return 0;
  const OSSL_PARAM* pointer = OSSL_PARAM_locate_const(parameters, kParamPublicKey);
  const OSSL_PARAM* index = OSSL_PARAM_locate_const(parameters, kParamKeyIndex);
  if (pointer != nullptr && index != nullptr) return import_remote(key, pointer, index);
  return import_public(key, parameters);
}

const OSSL_PARAM* key_import_types(int) {
  static const OSSL_PARAM types[] = {
      OSSL_PARAM_octet_ptr(kParamPublicKey, nullptr, 0),
      OSSL_PARAM_uint(kParamKeyIndex, nullptr),
      OSSL_PARAM_END,
  };
  return types;
}

int key_get_params(void* data, OSSL_PARAM parameters[]) {
  const auto* key = static_cast<const RemoteKey*>(data);
  return key->public_key != nullptr && EVP_PKEY_get_params(key->public_key, parameters) == 1 ? 1 : 0;
}

const OSSL_PARAM* key_gettable_params(void*) {
  static const OSSL_PARAM gettable[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_END,
  };
  return gettable;
}

template <RemoteKeyType type>
const char* key_operation_name(int operation) {
  if (operation != OSSL_OP_SIGNATURE) return nullptr;
  return type == RemoteKeyType::kEc ? "ECDSA" : type_name(type);
}

using Function = void (*)(void);

template <RemoteKeyType type>
const OSSL_DISPATCH* functions() {
  static const OSSL_DISPATCH table[] = {
      {OSSL_FUNC_KEYMGMT_NEW, reinterpret_cast<Function>(key_new<type>)},
      {OSSL_FUNC_KEYMGMT_FREE, reinterpret_cast<Function>(key_free)},
      {OSSL_FUNC_KEYMGMT_HAS, reinterpret_cast<Function>(key_has)},
      {OSSL_FUNC_KEYMGMT_MATCH, reinterpret_cast<Function>(key_match)},
      {OSSL_FUNC_KEYMGMT_IMPORT, reinterpret_cast<Function>(key_import)},
      {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, reinterpret_cast<Function>(key_import_types)},
      {OSSL_FUNC_KEYMGMT_GET_PARAMS, reinterpret_cast<Function>(key_get_params)},
      {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, reinterpret_cast<Function>(key_gettable_params)},
      {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, reinterpret_cast<Function>(key_operation_name<type>)},
      {0, nullptr},
  };
  return table;
}

}  // namespace

// The names are those under which OpenSSL's own key management is known, so that certificates match.
const OSSL_ALGORITHM kRemoteKeyManagement[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", kRemoteKeyProperty, functions<RemoteKeyType::kRsa>(), "remote RSA"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", kRemoteKeyProperty, functions<RemoteKeyType::kEc>(), "remote EC"},
    {"ED25519:1.3.101.112", kRemoteKeyProperty, functions<RemoteKeyType::kEd25519>(), "remote Ed25519"},
    {nullptr, nullptr, nullptr, nullptr},
};

}  // namespace ocvpn
