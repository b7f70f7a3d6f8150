// Packets out of a session's two channels; liveness requests are answered on the way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pkt/coalesce.h"
#include "pkt/view.h"
#include "pkt/vnet_header.h"
#include "session.h"

namespace ocvpn::bench {

enum class Arrived { kData, kNothing, kEnd };

/**
 * Reads one session's records. One buffer for both channels: use a frame before the next call. With a coalescer, which
 * gets every frame, records are opened where it wants their packets.
 */
class RecordReader {
 public:
  explicit RecordReader(Session* session, pkt::Coalescer* coalescer = nullptr)
      : session_(session), coalescer_(coalescer) {}

  /** Next data packet that the stream's transport holds, with room for a vnet header in front. kEnd: disconnected. */
  Arrived next_tls(pkt::MutView* frame);
  /** The same from the datagrams. */
  Arrived next_dtls(pkt::MutView* frame);

 private:
  uint8_t* room(size_t header_size);
  /** What a packet of any type but data asks for; `record` is its channel's header and `size` bytes behind it. */
  Arrived handle(bool stream, uint8_t* record, uint8_t type, size_t size);

  /** A record (RFC 8446 5.1) behind the vnet header. */
  static constexpr size_t kCapacity = pkt::kVnetHeaderSize + pkt::Coalescer::kLandingRoom;

  Session* session_;
  pkt::Coalescer* coalescer_;
  std::array<uint8_t, kCapacity> buffer_;
};

}  // namespace ocvpn::bench
