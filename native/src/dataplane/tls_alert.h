// Fatal alerts of the application's choice.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>

namespace ocvpn {

/// Writes a fatal alert record to the connection's BIO. False when the OpenSSL of this process offers no way.
bool append_fatal_alert(SSL* ssl, std::uint8_t description);

}  // namespace ocvpn
