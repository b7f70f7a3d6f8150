// The SHA-crypt methods of crypt(3), `$5$` and `$6$`, with OpenSSL's SHA-2, which uses the processor's instructions: the system's
// libcrypt does without them and takes three times as long. Written from Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace ocvpn::crypt {

// What crypt(3) returns for this password and setting. nullopt: not a setting of these methods, or one that libcrypts differ
// about (rounds outside of 1000 to 999,999,999, unusual salts, passwords over 511 bytes): ask crypt(3) itself.
std::optional<std::string> sha_crypt(const char* password, size_t length, const std::string& setting);

}  // namespace ocvpn::crypt
