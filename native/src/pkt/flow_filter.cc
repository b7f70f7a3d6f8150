#include "pkt/flow_filter.h"

namespace ocvpn::pkt {

namespace {

bool same_prefix(const uint8_t* a, const uint8_t* b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00 >> rest);
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

}  // namespace

void SourceFilter::set_ipv4(ConstView address) {
  std::memcpy(ipv4_, address.at(0, sizeof ipv4_), sizeof ipv4_);
  has_ipv4_ = true;
  enforce_ = true;
}

void SourceFilter::set_ipv6(ConstView address, unsigned prefix) {
  std::memcpy(ipv6_, address.at(0, sizeof ipv6_), sizeof ipv6_);
  prefix6_ = static_cast<uint8_t>(prefix < 128 ? prefix : 128);
  has_ipv6_ = true;
  enforce_ = true;
}

bool SourceFilter::allows(ConstView packet, const IpPacket& ip) const {
  if (!enforce_) return true;
  const uint8_t* source = packet.at(ip.src_offset, ip.address_length);
  if (ip.version == 4) return has_ipv4_ && same_prefix(source, ipv4_, 32);
  return has_ipv6_ && same_prefix(source, ipv6_, prefix6_);
}

}  // namespace ocvpn::pkt
