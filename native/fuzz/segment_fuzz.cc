// A frame from the tun: any bytes, or a right super-packet in which the input changes some. The first two bytes give
// the tunnel's MTU.
#include "pkt/segment.h"
#include "support/fuzz.h"
#include "support/model.h"

using namespace ocvpn::pkt;
using ocvpn::test::fuzz_require;

namespace {

using ocvpn::test::Bytes;

/** A super-packet of the kind that `kind` says, changed at pairs of offset and value. */
Bytes super_packet(uint8_t kind, const uint8_t* changes, size_t size) {
  ocvpn::test::Model m;
  m.version = (kind & 1) != 0 ? 4 : 6;
  m.tcp = (kind & 2) != 0;
  m.src = m.dst = Bytes(m.version == 4 ? 4 : 16, 1);
  m.tcp_options = Bytes((kind & 4) != 0 ? 12 : 0);
  m.payload = Bytes(3000, kind);
  Bytes frame = ocvpn::test::model_super_frame(m, 700 + kind);
  for (size_t i = 0; i + 1 < size; i += 2) frame[changes[i] % 120] = changes[i + 1];
  return frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const size_t max_packet = static_cast<size_t>(data[0] << 8 | data[1]) % 2000;
  Bytes bytes = data[2] % 2 == 0 ? Bytes(data + 3, data + size) : super_packet(data[3], data + 4, size - 4);
  const bool gso = bytes.size() > 1 && bytes[1] != 0;
  Segmenter segmenter;
  if (segmenter.begin({bytes.data(), bytes.size()}, max_packet) != SegmentResult::kOk) return 0;

  const size_t super_length = segmenter.packet().size();
  const size_t count = segmenter.count();
  size_t payload = 0;
  size_t seen = 0;
  size_t headers = 0;
  MutView packet;
  while (segmenter.next(&packet)) {
    ++seen;
    fuzz_require(packet.data() >= bytes.data() + kSegmentHeadroom);
    fuzz_require(packet.data() + packet.size() <= bytes.data() + bytes.size());
    fuzz_require(packet.size() <= max_packet && packet.size() <= segmenter.segment_length());
    if (!gso) continue;
    IpPacket ip;
    fuzz_require(parse_ip(packet, &ip) == IpError::kNone && ip.total_length == packet.size());
    const bool udp = ip.protocol == kProtoUdp;
    headers = ip.l4_offset + (udp ? 8 : static_cast<size_t>(packet.u8(ip.l4_offset + 12) >> 4) * 4);
    payload += packet.size() - headers;
  }
  fuzz_require(seen == count);
  if (gso) fuzz_require(headers + payload == super_length);
  return 0;
}
