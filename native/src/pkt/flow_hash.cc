#include "pkt/flow_hash.h"

namespace ocvpn::pkt {

namespace {

uint64_t load_word(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

uint64_t flow_hash(ConstView packet, const IpPacket& ip) {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  uint64_t hash = ip.protocol;
  const size_t length = static_cast<size_t>(ip.address_length) * 2;
  const uint8_t* addresses = packet.at(ip.src_offset, length);
  for (size_t i = 0; i < length; i += 4) hash = (hash ^ load_word(addresses + i)) * kMultiplier;
  if (has_ports(ip)) hash = (hash ^ load_word(packet.at(ip.l4_offset, 4))) * kMultiplier;
  return hash;
}

}  // namespace ocvpn::pkt
