#include "pkt/checksum.h"

#include "pkt/checksum_blocks.h"

namespace ocvpn::pkt {

namespace {

constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

/** 16 bits of a number as they lie in memory in network order. Its own inverse. */
uint16_t network16(uint16_t value) {
  return kLittleEndian ? __builtin_bswap16(value) : value;
}

template <typename Word>
uint64_t load(const uint8_t* p) {
  Word value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/** Headers, and what is left behind the blocks of a packet. */
uint64_t sum_rest(const uint8_t* p, size_t length) {
  uint64_t sum = 0;
  for (; length >= 4; length -= 4, p += 4) sum += load<uint32_t>(p);
  if ((length & 2) != 0) {
    sum += load<uint16_t>(p);
    p += 2;
  }
  // An odd last byte is padded with zero on its right.
  if ((length & 1) != 0) sum += kLittleEndian ? *p : static_cast<uint64_t>(*p) << 8;
  return sum;
}

const SumBlocks sum_blocks = fastest_sum_blocks();

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
  detail::require(bytes.size() <= kMaxSum);
  const size_t blocks = bytes.size() / kSumBlock * kSumBlock;
  uint64_t sum = sum_rest(bytes.data() + blocks, bytes.size() - blocks);
  if (blocks > 0) sum += sum_blocks(bytes.data(), blocks);
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
