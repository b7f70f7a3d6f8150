// Private keys that are in another process, as an OpenSSL provider.
//
// The provider offers RSA, EC and Ed25519 keys that hold the public half only, and one operation on them:
// "sign this whole message with this digest and padding" (EVP_DigestSign, one shot). It has no raw sign, no
// decrypt and no key export, so whatever asks through it can only ask for what a TLS handshake signs; the
// signer sees the message itself and can judge it.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <string>

namespace ocvpn {

/// Library context with OpenSSL's default provider and ours; made once per process and kept. null: `error`.
OSSL_LIB_CTX* tls_library(std::string* error);

/// Key whose signatures are made through SignSlot, with `key_index` in the request. `public_key` is that of the
/// certificate, loaded in tls_library(). null: key type not RSA, EC or Ed25519. The caller frees it.
EVP_PKEY* make_remote_key(EVP_PKEY* public_key, std::uint32_t key_index);

}  // namespace ocvpn
