// Packets out of a session's two channels; liveness requests are answered on the way.
#pragma once

#include <array>
#include <cstdint>

#include "pkt/view.h"
#include "pkt/vnet_header.h"
#include "session.h"

namespace ocvpn::bench {

enum class Arrived { kData, kNothing, kEnd };

/** Reads one session's records. One buffer for both channels: use a frame before the next call. */
class RecordReader {
 public:
  explicit RecordReader(Session* session) : session_(session) {}

  /** Next data packet that the stream's transport holds, with room for a vnet header in front. kEnd: disconnected. */
  Arrived next_tls(pkt::MutView* frame);
  /** The same from the datagrams. */
  Arrived next_dtls(pkt::MutView* frame);

 private:
  /** What a packet of any type but data asks for. */
  Arrived handle(SSL* ssl, size_t header_size, uint8_t type, size_t size);

  /** Largest plaintext of a record (RFC 8446 5.1) behind the vnet header. */
  static constexpr size_t kCapacity = pkt::kVnetHeaderSize + 16384;

  Session* session_;
  std::array<uint8_t, kCapacity> buffer_;
};

}  // namespace ocvpn::bench
