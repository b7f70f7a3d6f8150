// One of a session's two connections as a sequence of records.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>

namespace ocvpn::bench {

/** Opens and seals the data of a connection whose handshake is over. */
class Channel {
 public:
  virtual ~Channel() = default;
  /** The next record's plaintext out of what the transport received. Its bytes; 0: no whole record; -1: it has ended. */
  virtual int read(uint8_t* out, size_t capacity) = 0;
  /** Puts one record of `length` bytes into the transport, which sends it later. False: it is lost. */
  virtual bool write(const uint8_t* data, size_t length) = 0;
  /** Puts the message of an orderly end into the transport. */
  virtual void close() = 0;
  /** Whether its records pass the library by. */
  virtual bool own() const = 0;
};

/** By the library's record layer, whatever the cipher. */
class LibraryChannel : public Channel {
 public:
  /** `ssl` must outlive it. */
  explicit LibraryChannel(SSL* ssl) : ssl_(ssl) {}

  int read(uint8_t* out, size_t capacity) override;
  bool write(const uint8_t* data, size_t length) override;
  void close() override { SSL_shutdown(ssl_); }
  bool own() const override { return false; }

 private:
  SSL* ssl_;
};

}  // namespace ocvpn::bench
