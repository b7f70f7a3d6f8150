// PKCS #12 (RFC 7292): a certificate with its private key and its authorities in one file, locked with a password.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ocvpn {

struct Pkcs12Options {
  /// PEM.
  std::string certificate;
  std::string key;
  /// PEM bundle of the authorities, may be empty.
  std::string authorities;
  std::string password;
  /// Shown where the file is imported.
  std::string friendly_name;
  /// Triple DES and SHA-1 for importers that know nothing newer, instead of AES-256 and SHA-256.
  bool legacy = false;
};

/// The file's bytes (DER); empty, and `error` says why in one sentence, when one of the parts is unusable.
std::vector<std::uint8_t> make_pkcs12(const Pkcs12Options& options, std::string* error);

}  // namespace ocvpn
