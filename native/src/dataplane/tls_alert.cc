#include "dataplane/tls_alert.h"

#include <openssl/crypto.h>

// OpenSSL's public interface sends no alert but close_notify. Its own function for it is visible in `node`, whose
// OpenSSL is linked statically with all symbols; a shared libssl hides it, and then the weak reference is null.
// Its first argument is the connection, which for TLS (not QUIC) has the address of the SSL object.
extern "C" int ssl3_send_alert(void* connection, int level, int description) __attribute__((weak));

namespace ocvpn {
namespace {

constexpr unsigned long kFirstKnown = 0x30000000UL;
constexpr unsigned long kFirstUnknown = 0x40000000UL;

}  // namespace

bool append_fatal_alert(SSL* ssl, std::uint8_t description) {
  const unsigned long version = OpenSSL_version_num();
  if (ssl3_send_alert == nullptr || version < kFirstKnown || version >= kFirstUnknown) return false;
  return ssl3_send_alert(ssl, SSL3_AL_FATAL, description) > 0;
}

}  // namespace ocvpn
