#include "pkt/flow_segment.h"

#include "pkt/checksum.h"
#include "pkt/flow_hash.h"
#include "pkt/l4_header.h"

namespace ocvpn::pkt {

namespace {

constexpr uint16_t kDontFragment = 0x4000;

Coalesce classify_tcp(FlowSegment* segment) {
  const ConstView tcp = segment->packet.from(segment->ip.l4_offset);
  if (tcp.size() < kTcpMinHeader) return Coalesce::kBadL4Header;
  const size_t length = static_cast<size_t>(tcp.u8(kTcpDataOffset) >> 4) * 4;
  if (length < kTcpMinHeader || length > tcp.size()) return Coalesce::kBadL4Header;
  if ((tcp.u8(kTcpFlags) & static_cast<uint8_t>(~(kTcpPsh | kTcpEce))) != kTcpAckFlag) return Coalesce::kTcpFlags;
  segment->header_length = segment->ip.l4_offset + length;
  if (length == tcp.size()) return Coalesce::kNoPayload;
  segment->payload_length = tcp.size() - length;
  return Coalesce::kHeld;
}

Coalesce classify_udp(FlowSegment* segment) {
  const ConstView udp = segment->packet.from(segment->ip.l4_offset);
  if (udp.size() < kUdpHeaderSize || udp.be16(kUdpLength) != udp.size()) return Coalesce::kBadL4Header;
  if (udp.be16(kUdpChecksumField) == 0) return Coalesce::kUdpNoChecksum;
  if (udp.size() == kUdpHeaderSize) return Coalesce::kNoPayload;
  segment->header_length = segment->ip.l4_offset + kUdpHeaderSize;
  segment->payload_length = udp.size() - kUdpHeaderSize;
  return Coalesce::kHeld;
}

/** Fields that every segment of a super-packet inherits from the first. */
bool same_ip_fields(ConstView a, ConstView b, uint8_t version) {
  if (version == 6) return a.be32(0) == b.be32(0) && a.u8(7) == b.u8(7);  // class with ECN, flow label; hop limit
  // TOS with ECN; flags; TTL. The offset is 0: fragments never come here.
  return a.u8(1) == b.u8(1) && a.be16(6) == b.be16(6) && a.u8(8) == b.u8(8);
}

/** Data offset, all flags but PSH, window, ACK number, urgent pointer, options. */
bool same_tcp_fields(ConstView a, ConstView b, size_t tcp_header_length) {
  constexpr uint32_t kAllButPush = 0xffffffff ^ static_cast<uint32_t>(kTcpPsh) << 16;
  if (((a.be32(kTcpDataOffset) ^ b.be32(kTcpDataOffset)) & kAllButPush) != 0) return false;
  if (a.be32(kTcpAck) != b.be32(kTcpAck) || a.be16(kTcpUrgentPointer) != b.be16(kTcpUrgentPointer)) return false;
  const size_t options = tcp_header_length - kTcpMinHeader;
  return a.sub(kTcpMinHeader, options).equals(b.sub(kTcpMinHeader, options));
}

}  // namespace

Coalesce classify(MutView frame, const IpPacket& ip, bool tcp, bool udp, FlowSegment* out) {
  out->frame = frame.sub(0, kVnetHeaderSize + ip.total_length);
  out->packet = out->frame.from(kVnetHeaderSize);
  out->ip = ip;
  if (ip.fragment) return Coalesce::kFragment;  // before the protocol: a later fragment may hide it (IPv6)
  if (ip.protocol != kProtoTcp && ip.protocol != kProtoUdp) return Coalesce::kNotTcpUdp;
  if (!has_ports(ip)) return Coalesce::kBadL4Header;
  out->has_ports = true;
  out->hash = flow_hash(out->packet, ip);
  if (ip.has_options) return Coalesce::kIpOptions;
  if (!(ip.protocol == kProtoTcp ? tcp : udp)) return Coalesce::kDisabled;
  return ip.protocol == kProtoTcp ? classify_tcp(out) : classify_udp(out);
}

bool same_addresses(ConstView a, const IpPacket& a_ip, ConstView b, const IpPacket& b_ip) {
  if (a_ip.version != b_ip.version) return false;
  const size_t length = static_cast<size_t>(a_ip.address_length) * 2;
  return a.sub(a_ip.src_offset, length).equals(b.sub(b_ip.src_offset, length));
}

bool same_flow(ConstView a, const IpPacket& a_ip, ConstView b, const IpPacket& b_ip) {
  return a_ip.protocol == b_ip.protocol && same_addresses(a, a_ip, b, b_ip) &&
         a.be32(a_ip.l4_offset) == b.be32(b_ip.l4_offset);
}

FlushCause follows(ConstView head, const FlowSegment& next, size_t count, size_t head_payload) {
  const IpPacket& ip = next.ip;
  if (!same_ip_fields(head, next.packet, ip.version)) return FlushCause::kIpChange;
  if (ip.protocol == kProtoTcp) {
    const ConstView a = head.from(ip.l4_offset);
    const ConstView b = next.packet.from(ip.l4_offset);
    const uint32_t expected = a.be32(kTcpSequence) + static_cast<uint32_t>(head_payload);
    if (b.be32(kTcpSequence) != expected) return FlushCause::kSequence;
    if (!same_tcp_fields(a, b, next.header_length - ip.l4_offset)) return FlushCause::kHeaderChange;
  }
  if (ip.version == 4 && (head.be16(6) & kDontFragment) == 0) {
    const auto expected = static_cast<uint16_t>(head.be16(4) + count);
    if (next.packet.be16(4) != expected) return FlushCause::kIpId;
  }
  return FlushCause::kCount;
}

bool plain_ack(const FlowSegment& segment) {
  constexpr uint32_t kTimestampsOnly = 0x0101080a;  // as every sender lays them out (RFC 7323 appendix A)
  constexpr size_t kTimestampsSize = 12;
  if (segment.ip.protocol != kProtoTcp || segment.header_length != segment.packet.size()) return false;
  const ConstView tcp = segment.packet.from(segment.ip.l4_offset);
  // The reserved bits too: one of them counts congestion marks (AccECN).
  if ((tcp.u8(kTcpDataOffset) & 0x0f) != 0 || tcp.u8(kTcpFlags) != kTcpAckFlag) return false;
  const size_t options = tcp.size() - kTcpMinHeader;
  return options == 0 || (options == kTimestampsSize && tcp.be32(kTcpMinHeader) == kTimestampsOnly);
}

bool supersedes(ConstView held, const FlowSegment& next) {
  const IpPacket& ip = next.ip;
  if (held.size() != next.packet.size() || !same_ip_fields(held, next.packet, ip.version)) return false;
  const ConstView a = held.from(ip.l4_offset);
  const ConstView b = next.packet.from(ip.l4_offset);
  const uint32_t more = b.be32(kTcpAck) - a.be32(kTcpAck);
  return more != 0 && more < 0x80000000 && a.be32(kTcpSequence) == b.be32(kTcpSequence);
}

bool checksums_right(ConstView packet, const IpPacket& ip) {
  if (ip.version == 4 && sum_fold(sum_bytes(packet.sub(0, ip.l4_offset))) != 0xffff) return false;
  return verify_l4_checksum(packet, ip);
}

bool has_push(ConstView packet, const IpPacket& ip) {
  return ip.protocol == kProtoTcp && (packet.u8(ip.l4_offset + kTcpFlags) & kTcpPsh) != 0;
}

VnetHeader finish_super_packet(MutView packet, const IpPacket& ip, size_t header_length, size_t segment, bool push) {
  if (ip.version == 4) {
    packet.put_be16(2, static_cast<uint16_t>(packet.size()));
    write_ipv4_checksum(packet.sub(0, ip.l4_offset));
  } else {
    packet.put_be16(4, static_cast<uint16_t>(packet.size() - kIpv6Header));
  }
  const MutView l4 = packet.from(ip.l4_offset);
  const bool tcp = ip.protocol == kProtoTcp;
  if (tcp) {
    if (push) l4.put_u8(kTcpFlags, l4.u8(kTcpFlags) | kTcpPsh);
  } else {
    l4.put_be16(kUdpLength, static_cast<uint16_t>(l4.size()));
  }
  const size_t field = tcp ? kTcpChecksumField : kUdpChecksumField;
  l4.put_be16(field, sum_fold(sum_pseudo_header(packet, ip, ip.protocol, l4.size())));

  VnetHeader vnet;
  vnet.flags = kVnetNeedsCsum;
  vnet.gso_type = !tcp ? kGsoUdpL4 : (ip.version == 4 ? kGsoTcpV4 : kGsoTcpV6);
  vnet.hdr_len = static_cast<uint16_t>(header_length);
  vnet.gso_size = static_cast<uint16_t>(segment);
  vnet.csum_start = ip.l4_offset;
  vnet.csum_offset = static_cast<uint16_t>(field);
  return vnet;
}

}  // namespace ocvpn::pkt
