// The parts of the remote-key provider (see tls_remote_key.h): key management and signatures.
#pragma once

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include <cstdint>

namespace ocvpn {

/// Property by which make_remote_key() selects our key management among those of the same name.
inline constexpr char kRemoteKeyProperty[] = "provider=ocvpn";
/// Import parameters: pointer to the public EVP_PKEY (octet pointer) and key index (unsigned integer).
inline constexpr char kParamPublicKey[] = "ocvpn-public-key";
inline constexpr char kParamKeyIndex[] = "ocvpn-key-index";

enum class RemoteKeyType { kRsa, kEc, kEd25519 };

struct RemoteKey {
  RemoteKeyType type;
  OSSL_LIB_CTX* library;
  /// Owned; held by OpenSSL's own key management.
  EVP_PKEY* public_key = nullptr;
  std::uint32_t key_index = 0;
  /// False for a bare public key that was imported to be compared.
  bool remote = false;
};

/// Tables for the provider's query function.
extern const OSSL_ALGORITHM kRemoteKeyManagement[];
extern const OSSL_ALGORITHM kRemoteSignatures[];

}  // namespace ocvpn
