#include "pkt/compression.h"

#include "pkt/lz4.h"
#include "pkt/lzs.h"

namespace ocvpn::pkt {

size_t compress(Compression method, ConstView packet, MutView out) {
  if (packet.empty() || packet.size() > kMaxPlainPacket) return 0;
  switch (method) {
    case Compression::kLz4:
      return lz4_compress(packet, out);
    case Compression::kLzs:
      return lzs_compress(packet, out);
    case Compression::kNone:
      break;
  }
  return 0;
}

bool decompress(Compression method, ConstView data, MutView out, size_t* length) {
  MutView bounded = out.size() > kMaxPlainPacket ? out.sub(0, kMaxPlainPacket) : out;
  switch (method) {
    case Compression::kLz4:
      return lz4_decompress(data, bounded, length);
    case Compression::kLzs:
      return lzs_decompress(data, bounded, length);
    case Compression::kNone:
      break;
  }
  return false;
}

}  // namespace ocvpn::pkt
