#include "pkt/checksum.h"

namespace ocvpn::pkt {

namespace {

constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

/** 16 bits of a number as they lie in memory in network order. Its own inverse. */
uint16_t network16(uint16_t value) {
  return kLittleEndian ? __builtin_bswap16(value) : value;
}

uint64_t load64(const uint8_t* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/** Vector type of GCC and Clang; plain arithmetic where the machine has no such registers. */
typedef uint64_t Lanes __attribute__((vector_size(16)));

Lanes load_lanes(const uint8_t* p) {
  Lanes value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

constexpr int kTcpChecksum = 16;
constexpr int kUdpChecksum = 6;
constexpr int kIcmpChecksum = 2;
constexpr size_t kUdpHeader = 8;

/** What the checksum of this packet covers, or length 0 when it cannot be looked at. */
struct Coverage {
  size_t checksum_offset = 0;  // from the start of the packet
  size_t length = 0;           // from l4_offset
};

Coverage coverage(ConstView packet, const IpPacket& ip) {
  const int offset = l4_checksum_offset(ip.protocol);
  if (offset < 0 || ip.fragment) return {};
  // ICMP belongs to IPv4 and ICMPv6 to IPv6; the wrong one has no defined pseudo header.
  if (ip.protocol == kProtoIcmp && ip.version != 4) return {};
  if (ip.protocol == kProtoIcmpV6 && ip.version != 6) return {};
  size_t length = ip.l4_length();
  if (length < static_cast<size_t>(offset) + 2) return {};
  if (ip.protocol == kProtoUdp) {
    const size_t udp_length = packet.be16(ip.l4_offset + 4);
    if (udp_length < kUdpHeader || udp_length > length) return {};
    length = udp_length;
  }
  return {ip.l4_offset + static_cast<size_t>(offset), length};
}

uint64_t sum_l4(ConstView packet, const IpPacket& ip, size_t length) {
  const uint64_t pseudo = ip.protocol == kProtoIcmp ? 0 : sum_pseudo_header(packet, ip, ip.protocol, length);
  return sum_bytes(packet.sub(ip.l4_offset, length), pseudo);
}

}  // namespace

uint64_t sum_bytes(ConstView bytes, uint64_t initial) {
  // 32-bit words in 64-bit lanes: no carry can get lost in any packet, and the lanes (SSE2, NEON) need no carry chain,
  // which is what bounds a loop of add-with-carry (measured: half the speed).
  constexpr Lanes kLow = {0xffffffff, 0xffffffff};
  const uint8_t* p = bytes.data();
  size_t left = bytes.size();
  Lanes low = {}, high = {}, low2 = {}, high2 = {};
  for (; left >= 32; left -= 32, p += 32) {
    const Lanes a = load_lanes(p);
    const Lanes b = load_lanes(p + 16);
    low += a & kLow;
    high += a >> 32;
    low2 += b & kLow;
    high2 += b >> 32;
  }
  low += low2;
  high += high2;
  uint64_t sum = low[0] + low[1] + high[0] + high[1];
  for (; left >= 8; left -= 8, p += 8) {
    const uint64_t word = load64(p);
    sum += (word & 0xffffffff) + (word >> 32);
  }
  if (left > 0) {
    uint64_t tail = 0;
    std::memcpy(&tail, p, left);  // an odd last byte is padded with zero on its right
    sum += (tail & 0xffffffff) + (tail >> 32);
  }
  return sum_add(initial, sum);
}

uint16_t sum_fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return network16(static_cast<uint16_t>(sum));
}

uint64_t sum_pseudo_header(ConstView packet, const IpPacket& ip, uint8_t protocol, size_t l4_length) {
  uint64_t sum = sum_bytes(packet.sub(ip.src_offset, static_cast<size_t>(ip.address_length) * 2));
  sum = sum_add(sum, network16(protocol));
  sum = sum_add(sum, network16(static_cast<uint16_t>(l4_length >> 16)));
  return sum_add(sum, network16(static_cast<uint16_t>(l4_length)));
}

void write_ipv4_checksum(MutView header) {
  header.put_be16(10, 0);
  header.put_be16(10, static_cast<uint16_t>(~sum_fold(sum_bytes(header))));
}

int l4_checksum_offset(uint8_t protocol) {
  switch (protocol) {
    case kProtoTcp:
      return kTcpChecksum;
    case kProtoUdp:
      return kUdpChecksum;
    case kProtoIcmp:
    case kProtoIcmpV6:
      return kIcmpChecksum;
    default:
      return -1;
  }
}

bool verify_l4_checksum(ConstView packet, const IpPacket& ip) {
  const Coverage covered = coverage(packet, ip);
  if (covered.length == 0) return false;
  if (ip.protocol == kProtoUdp && packet.be16(covered.checksum_offset) == 0) return ip.version == 4;
  return sum_fold(sum_l4(packet, ip, covered.length)) == 0xffff;
}

bool write_l4_checksum(MutView packet, const IpPacket& ip) {
  const Coverage covered = coverage(packet, ip);
  if (covered.length == 0) return false;
  packet.put_be16(covered.checksum_offset, 0);
  auto checksum = static_cast<uint16_t>(~sum_fold(sum_l4(packet, ip, covered.length)));
  // 0 would mean "no checksum" in UDP (RFC 768); all ones is the same number.
  if (ip.protocol == kProtoUdp && checksum == 0) checksum = 0xffff;
  packet.put_be16(covered.checksum_offset, checksum);
  return true;
}

}  // namespace ocvpn::pkt
