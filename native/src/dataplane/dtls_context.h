// DTLS 1.2 server contexts for the two ways in which an AnyConnect client keys its UDP channel (protocol.md 12).
//
// psk:    full handshake with a plain PSK suite; the key comes from the exporter of the client's TLS connection.
// legacy: abbreviated handshake of a session that both sides build from X-DTLS-Master-Secret; it never existed.
//
// Neither uses certificates, tickets or HelloVerifyRequest. One context serves all sessions with the same ciphers;
// what belongs to one session hangs on its SSL object (DtlsKeys).
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "dataplane/options.h"

namespace ocvpn::dataplane {

struct SslCtxDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, SslCtxDeleter>;
using SslPtr = std::unique_ptr<SSL, SslDeleter>;

// Secrets of one session; must outlive the SSL objects that were made with it. Wiped at the end.
struct DtlsKeys {
  DtlsKeys() = default;
  DtlsKeys(const DtlsKeys&) = delete;
  DtlsKeys& operator=(const DtlsKeys&) = delete;
  ~DtlsKeys();

  DtlsMode mode = DtlsMode::none;
  std::string cipher;                     // legacy: OpenSSL's name of the one suite
  std::array<uint8_t, 32> psk{};          // EXPORTER-openconnect-psk of the CSTP connection
  std::array<uint8_t, 48> master_secret{};  // legacy
  std::array<uint8_t, 32> session_id{};     // legacy
};

// Contexts by (mode, ciphers), made on first use. Used by one thread.
class DtlsContexts {
 public:
  // nullptr when OpenSSL refuses the cipher list.
  SSL_CTX* get(DtlsMode mode, const std::string& ciphers);

 private:
  std::map<std::pair<DtlsMode, std::string>, SslCtxPtr> contexts_;
};

// New server-side SSL for one client. `keys` is kept by pointer. Null on failure (memory).
SslPtr new_dtls_ssl(SSL_CTX* context, DtlsKeys* keys);

}  // namespace ocvpn::dataplane
