// Channels past the library's record layer, which takes longer around the cipher than the cipher itself: AES-GCM in TLS
// 1.3 and in DTLS 1.2. Everything else stays the library's.
#pragma once

#include <memory>

#include "channel.h"
#include "dataplane/tls_records.h"
#include "dtls_keys.h"
#include "session.h"
#include "transport.h"

namespace ocvpn::bench {

/** Lets SSL objects of the context note the secrets of their session (SSL_set_app_data), for take_over(). */
void note_secrets(SSL_CTX* tls);

/**
 * Replaces the session's channels, where the suite allows it, by some that open and seal themselves. Sends a KEEPALIVE on
 * each: the record that the library makes of it tells the number that is next.
 */
void take_over(Session* session);

/** TLS 1.3 after the handshake (RFC 8446 5): data, KeyUpdates and alerts. */
class TlsChannel : public Channel {
 public:
  /** Keys and numbers are those of the session, which must outlive it. */
  TlsChannel(TlsSecrets* secrets, Transport* transport) : secrets_(secrets), transport_(transport) {}

  int read(uint8_t* out, size_t capacity) override;
  bool write(const uint8_t* data, size_t length) override;
  void close() override;
  bool own() const override { return true; }

 private:
  bool seal(uint8_t content_type, const uint8_t* data, size_t length);
  bool on_handshake(const uint8_t* message, size_t length);

  TlsSecrets* secrets_;
  Transport* transport_;
};

/** DTLS 1.2: data. Handshake messages and alerts are the library's. */
class DtlsChannel : public Channel {
 public:
  DtlsChannel(std::unique_ptr<DtlsKeys> keys, SSL* dtls, Transport* transport)
      : keys_(std::move(keys)), library_(dtls), transport_(transport) {}

  int read(uint8_t* out, size_t capacity) override;
  bool write(const uint8_t* data, size_t length) override;
  /** Nothing: the server ends both channels with the stream. */
  void close() override {}
  bool own() const override { return true; }

 private:
  std::unique_ptr<DtlsKeys> keys_;
  LibraryChannel library_;
  Transport* transport_;
  /** Records that followed in the last datagram. */
  pkt::ConstView rest_;
};

}  // namespace ocvpn::bench
