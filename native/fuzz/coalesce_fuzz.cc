// A stream of packets built from the input, some of them damaged: the coalescer loses, changes and reorders none.
#include "pkt/coalesce.h"
#include "pkt/cstp.h"
#include "support/flows.h"
#include "support/fuzz.h"
#include "support/kernel.h"

using namespace ocvpn::pkt;
using namespace ocvpn::test;

namespace {

Model first_packet(int version, bool tcp) {
  Model m;
  m.version = version;
  m.tcp = tcp;
  m.src = Bytes(version == 4 ? 4 : 16, 1);
  m.dst = Bytes(version == 4 ? 4 : 16, 2);
  return m;
}

/** Changes one field of the stream or of the packet, as the input says. */
void change(FuzzInput& in, Model& m) {
  const uint8_t value = in.u8();
  switch (in.u8() % 16) {
    case 0: m.flags ^= value; break;
    case 1: m.tos ^= value; break;
    case 2: m.ttl ^= value; break;
    case 3: m.id = static_cast<uint16_t>(m.id + value); break;
    case 4: m.df = !m.df; break;
    case 5: m.seq += value; break;
    case 6: m.ack += value; break;
    case 7: m.window ^= value; break;
    case 8: m.urgent ^= value; break;
    case 9: m.tcp_options = Bytes(value % 11 * 4u, value); break;
    case 10: m.ip_options = Bytes(value % 3 * 4u, value); break;
    case 11: m.udp_no_checksum = !m.udp_no_checksum; break;
    case 12: m.flow_label ^= value; break;
    case 13: m.reserved = value & 15; break;
    case 14: m.sport ^= value & 3; break;
    default: m.extensions.assign(value % 2, {60, Bytes(8)}); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzInput in(data, size);
  Coalescer coalescer(true, in.u8() % 4 != 0);
  Model streams[4] = {first_packet(4, true), first_packet(6, true), first_packet(4, false), first_packet(6, false)};
  std::vector<Bytes> sent, received;
  const auto sink = [&](ConstView frame) {
    const Expanded expanded = expand(Bytes(frame.data(), frame.data() + frame.size()));
    fuzz_require(expanded.valid);
    received.insert(received.end(), expanded.packets.begin(), expanded.packets.end());
  };
  for (int i = 0; i < 200 && !in.empty(); ++i) {
    const uint8_t what = in.u8();
    Model& m = streams[what & 3];
    if ((what & 0x0c) == 0) change(in, m);
    m.payload = Bytes(in.u8() % 4 == 0 ? in.u8() : 700, what);
    Bytes packet = build(m);
    if ((what & 0x70) == 0x70) packet[m.ip_header() + 4 + in.u8() % (packet.size() - m.ip_header() - 4)] ^= in.u8();
    m.seq += static_cast<uint32_t>(m.payload.size());
    ++m.id;
    sent.push_back(packet);
    Bytes frame = concat(Bytes(kVnetHeaderSize), packet);
    IpPacket ip;
    fuzz_require(parse_ip({packet.data(), packet.size()}, &ip) == IpError::kNone);
    // Now and then one is not at its landing, and now and then none comes.
    uint8_t* room = (what & 0x80) != 0 ? nullptr : coalescer.landing(kCstpHeaderSize);
    if (room != nullptr) std::memset(room, what, Coalescer::kLandingRoom);
    uint8_t* at = room == nullptr || (what & 0x60) == 0x60 ? frame.data() : room + kCstpHeaderSize - kVnetHeaderSize;
    std::memcpy(at + kVnetHeaderSize, packet.data(), packet.size());
    coalescer.push({at, frame.size()}, ip, sink);
  }
  coalescer.flush(sink);
  fuzz_require(coalescer.empty());
  fuzz_require(by_flow(received) == by_flow(sent));
  return 0;
}
