#include "support/kernel.h"

#include <algorithm>
#include <cstring>

namespace ocvpn::test {

namespace {

uint16_t get16(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b.at(at) << 8 | b.at(at + 1));
}
uint32_t get32(const Bytes& b, size_t at) {
  return static_cast<uint32_t>(get16(b, at)) << 16 | get16(b, at + 2);
}
Bytes cut(const Bytes& b, size_t from, size_t to) {
  return {b.begin() + static_cast<long>(from), b.begin() + static_cast<long>(to)};
}

}  // namespace

Model parse_model(const Bytes& p) {
  Model m;
  m.version = p.at(0) >> 4;
  size_t l4 = 40;
  uint8_t protocol = 0;
  if (m.version == 4) {
    l4 = static_cast<size_t>(p[0] & 15) * 4;
    m.tos = p[1];
    m.id = get16(p, 4);
    m.df = (p[6] & 0x40) != 0;
    m.ttl = p[8];
    protocol = p[9];
    m.src = cut(p, 12, 16);
    m.dst = cut(p, 16, 20);
    m.ip_options = cut(p, 20, l4);
  } else {
    m.tos = static_cast<uint8_t>(get16(p, 0) >> 4);
    m.flow_label = get32(p, 0) & 0xfffff;
    m.ttl = p[7];
    protocol = p[6];
    m.src = cut(p, 8, 24);
    m.dst = cut(p, 24, 40);
    while (protocol == 43 || protocol == 60) {
      const size_t length = (static_cast<size_t>(p[l4 + 1]) + 1) * 8;
      m.extensions.push_back({protocol, cut(p, l4, l4 + length)});
      protocol = p[l4];
      l4 += length;
    }
  }
  m.tcp = protocol == 6;
  m.sport = get16(p, l4);
  m.dport = get16(p, l4 + 2);
  if (!m.tcp) {
    m.udp_no_checksum = get16(p, l4 + 6) == 0;
    m.payload = cut(p, l4 + 8, p.size());
    return m;
  }
  m.seq = get32(p, l4 + 4);
  m.ack = get32(p, l4 + 8);
  m.reserved = p[l4 + 12] & 15;
  m.flags = p[l4 + 13];
  m.window = get16(p, l4 + 14);
  m.urgent = get16(p, l4 + 18);
  // A data offset that lies is not this function's affair.
  const size_t end = std::clamp(l4 + static_cast<size_t>(p[l4 + 12] >> 4) * 4, l4 + 20, p.size());
  m.tcp_options = cut(p, l4 + 20, end);
  m.payload = cut(p, end, p.size());
  return m;
}

Expanded expand(const Bytes& frame) {
  const Bytes packet = cut(frame, 10, frame.size());
  uint16_t fields[4];
  std::memcpy(fields, frame.data() + 2, sizeof fields);
  const auto [hdr_len, gso_size, csum_start, csum_offset] = fields;
  if (frame[1] == 0) {
    if (frame[0] != 0 || hdr_len != 0 || gso_size != 0 || csum_start != 0 || csum_offset != 0) return {};
    return {true, {packet}};
  }
  const Model m = parse_model(packet);
  const uint8_t type = !m.tcp ? 5 : (m.version == 4 ? 1 : 4);
  if (frame[0] != 1 || frame[1] != type || gso_size == 0) return {};
  if (hdr_len != m.headers() || csum_start != m.ip_header() || csum_offset != (m.tcp ? 16 : 6)) return {};
  if (m.payload.size() <= gso_size) return {};  // not a super-packet
  if (!m.tcp && m.payload.size() > static_cast<size_t>(gso_size) * 64) return {};
  if (m.version == 4) {
    if (get16(packet, 2) != packet.size() || model_checksum(cut(packet, 0, m.ip_header())) != 0) return {};
  } else if (get16(packet, 4) + 40u != packet.size()) {
    return {};
  }
  if (!m.tcp && get16(packet, csum_start + 4) != packet.size() - csum_start) return {};
  const auto pseudo = static_cast<uint16_t>(~model_checksum(model_pseudo_header(m, packet.size() - csum_start)));
  if (get16(packet, static_cast<size_t>(csum_start) + csum_offset) != pseudo) return {};
  Expanded out{true, {}};
  for (const Model& segment : model_segments(m, gso_size)) out.packets.push_back(build(segment));
  return out;
}

}  // namespace ocvpn::test
