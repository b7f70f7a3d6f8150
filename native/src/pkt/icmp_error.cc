#include "pkt/icmp_error.h"

#include "pkt/checksum.h"

namespace ocvpn::pkt {

namespace {

constexpr size_t kIcmpHeader = 8;
constexpr uint8_t kTtl = 64;
constexpr uint16_t kDontFragment = 0x4000;
constexpr uint8_t kInternetworkControl = 0xc0;  // precedence of ICMP errors (RFC 1812 4.3.2.5)
constexpr uint32_t kIpv6MinMtu = 1280;

constexpr uint8_t kIcmpEchoReply = 0;
constexpr uint8_t kIcmpDestinationUnreachable = 3;
constexpr uint8_t kCodeFragmentationNeeded = 4;
constexpr uint8_t kIcmpEcho = 8;
constexpr uint8_t kIcmpTimestamp = 13;
constexpr uint8_t kIcmpV6PacketTooBig = 2;
constexpr uint8_t kIcmpV6FirstInformational = 128;
constexpr uint8_t kIcmpV6Redirect = 137;

/** Errors and what cannot be told from one. Queries of IPv4 are echo and everything from timestamp on. */
bool may_be_icmp_error(ConstView packet, const IpPacket& ip) {
  if (ip.protocol != kProtoIcmp && ip.protocol != kProtoIcmpV6) return false;
  if (ip.l4_length() == 0) return true;
  const uint8_t type = packet.u8(ip.l4_offset);
  if (ip.protocol == kProtoIcmpV6) return type < kIcmpV6FirstInformational || type == kIcmpV6Redirect;
  return type != kIcmpEchoReply && type != kIcmpEcho && type < kIcmpTimestamp;
}

bool is_zero(ConstView bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes.u8(i) != 0) return false;
  }
  return true;
}

/** 224/4 multicast, 240/4 with the limited broadcast. */
bool is_ipv4_group(ConstView address) {
  return address.u8(0) >= 224;
}

bool is_single_host(ConstView source) {
  if (source.size() == 4) return source.u8(0) != 0 && source.u8(0) != 127 && !is_ipv4_group(source);
  const bool loopback = is_zero(source.sub(0, 15)) && source.u8(15) == 1;
  return source.u8(0) != 0xff && !is_zero(source) && !loopback;
}

IcmpRefusal refusal(ConstView packet, const IpPacket& ip, ConstView gateway) {
  if (gateway.size() != ip.address_length) return IcmpRefusal::kNoSource;
  if (!ip.has_l4_header()) return IcmpRefusal::kLaterFragment;
  if (may_be_icmp_error(packet, ip)) return IcmpRefusal::kIcmpError;
  if (!is_single_host(ip.src(packet))) return IcmpRefusal::kBadSource;
  if (ip.version == 4) {
    if (is_ipv4_group(ip.dst(packet))) return IcmpRefusal::kGroupDestination;
    if ((packet.be16(6) & kDontFragment) == 0) return IcmpRefusal::kFragmentable;
  }
  return IcmpRefusal::kNone;
}

/** The part of the offending packet that fits an error of `limit` bytes. */
ConstView quote(ConstView packet, const IpPacket& ip, size_t headers, size_t limit) {
  const size_t room = limit - headers;
  return packet.sub(0, ip.total_length < room ? ip.total_length : room);
}

void write_ipv4_header(MutView out, ConstView source, ConstView destination) {
  out.put_u8(0, 0x45);
  out.put_u8(1, kInternetworkControl);
  out.put_be16(2, static_cast<uint16_t>(out.size()));
  out.put_be16(4, 0);  // never fragmented, so the id means nothing (RFC 6864)
  out.put_be16(6, kDontFragment);
  out.put_u8(8, kTtl);
  out.put_u8(9, kProtoIcmp);
  out.put(12, source);
  out.put(16, destination);
  write_ipv4_checksum(out.sub(0, kIpv4MinHeader));
}

void write_ipv6_header(MutView out, ConstView source, ConstView destination) {
  out.put_be32(0, 0x60000000);
  out.put_be16(4, static_cast<uint16_t>(out.size() - kIpv6Header));
  out.put_u8(6, kProtoIcmpV6);
  out.put_u8(7, kTtl);
  out.put(8, source);
  out.put(24, destination);
}

}  // namespace

IcmpError build_packet_too_big(ConstView packet, const IpPacket& ip, uint32_t mtu, ConstView gateway, MutView out) {
  const IcmpRefusal refused = refusal(packet, ip, gateway);
  if (refused != IcmpRefusal::kNone) return {refused, 0};

  const bool v4 = ip.version == 4;
  const size_t ip_header = v4 ? kIpv4MinHeader : kIpv6Header;
  const ConstView quoted = quote(packet, ip, ip_header + kIcmpHeader, v4 ? kIcmpV4ErrorMax : kIcmpV6ErrorMax);
  const size_t length = ip_header + kIcmpHeader + quoted.size();
  if (length > out.size()) return {IcmpRefusal::kNoSpace, 0};

  const MutView error = out.sub(0, length);
  const MutView icmp = error.from(ip_header);
  if (v4) {
    write_ipv4_header(error, gateway, ip.src(packet));
    icmp.put_u8(0, kIcmpDestinationUnreachable);
    icmp.put_u8(1, kCodeFragmentationNeeded);
    icmp.put_be32(4, mtu < 0xffff ? mtu : 0xffff);  // 16 unused bits, then the next-hop MTU
  } else {
    write_ipv6_header(error, gateway, ip.src(packet));
    icmp.put_u8(0, kIcmpV6PacketTooBig);
    icmp.put_u8(1, 0);
    icmp.put_be32(4, mtu > kIpv6MinMtu ? mtu : kIpv6MinMtu);
  }
  icmp.put(kIcmpHeader, quoted);

  IpPacket built;
  detail::require(parse_ip(error, &built) == IpError::kNone && write_l4_checksum(error, built));
  return {IcmpRefusal::kNone, length};
}

}  // namespace ocvpn::pkt
