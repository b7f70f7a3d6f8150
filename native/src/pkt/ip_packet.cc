#include "pkt/ip_packet.h"

namespace ocvpn::pkt {

namespace {

constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kFragmentOffsetMask = 0x1fff;

IpError parse_ipv4(ConstView packet, IpPacket* out) {
  if (packet.size() < kIpv4MinHeader) return IpError::kTruncated;
  const size_t header_length = static_cast<size_t>(packet.u8(0) & 0x0f) * 4;
  if (header_length < kIpv4MinHeader || header_length > packet.size()) return IpError::kBadHeaderLength;
  const size_t total_length = packet.be16(2);
  if (total_length < header_length || total_length > packet.size()) return IpError::kBadTotalLength;
  const uint16_t fragment_field = packet.be16(6);

  out->version = 4;
  out->protocol = packet.u8(9);
  out->fragment = (fragment_field & (kMoreFragments | kFragmentOffsetMask)) != 0;
  out->first_fragment = out->fragment && (fragment_field & kFragmentOffsetMask) == 0;
  out->has_options = header_length > kIpv4MinHeader;
  out->l4_offset = static_cast<uint16_t>(header_length);
  out->total_length = static_cast<uint32_t>(total_length);
  out->src_offset = 12;
  out->dst_offset = 16;
  out->address_length = 4;
  return IpError::kNone;
}

bool is_extension_header(uint8_t protocol) {
  switch (protocol) {
    case kProtoHopByHop:
    case kProtoRouting:
    case kProtoFragment:
    case kProtoAh:
    case kProtoDestOptions:
    case kProtoMobility:
      return true;
    default:
      return false;
  }
}

/** Bytes of the extension header of this kind whose second byte is `length_field` (RFC 8200 4; AH: RFC 4302 2.2). */
size_t extension_length(uint8_t protocol, uint8_t length_field) {
  if (protocol == kProtoFragment) return 8;
  if (protocol == kProtoAh) return (static_cast<size_t>(length_field) + 2) * 4;
  return (static_cast<size_t>(length_field) + 1) * 8;
}

/** Walks the chain from the fixed header; fills protocol, l4_offset and the fragment fields. */
IpError walk_extensions(ConstView packet, IpPacket* out) {
  uint8_t protocol = packet.u8(6);
  size_t offset = kIpv6Header;
  for (int count = 0; is_extension_header(protocol); ++count) {
    if (count == kMaxExtensionHeaders) return IpError::kTooManyExtensions;
    if (!packet.contains(offset, 8)) return IpError::kBadExtensionHeader;
    const size_t length = extension_length(protocol, packet.u8(offset + 1));
    if (!packet.contains(offset, length)) return IpError::kBadExtensionHeader;
    const uint8_t next = packet.u8(offset);
    if (protocol == kProtoFragment) {
      const uint16_t field = packet.be16(offset + 2);
      const bool later = (field & 0xfff8) != 0;
      // Offset 0 without "more" is an atomic fragment: a whole packet (RFC 6946), but its header is kept.
      if (later || (field & 1) != 0) {
        out->fragment = true;
        out->first_fragment = !later;
      }
      offset += length;
      protocol = next;
      if (later) break;  // what follows is payload, whatever `next` says
      continue;
    }
    offset += length;
    protocol = next;
  }
  out->protocol = protocol;
  out->l4_offset = static_cast<uint16_t>(offset);
  out->has_options = offset != kIpv6Header;
  return IpError::kNone;
}

IpError parse_ipv6(ConstView packet, IpPacket* out) {
  if (packet.size() < kIpv6Header) return IpError::kTruncated;
  const size_t total_length = kIpv6Header + packet.be16(4);
  if (total_length > packet.size()) return IpError::kBadTotalLength;
  // A jumbogram says 0 and carries bytes; as a plain packet it would be cut to its header without notice.
  if (total_length == kIpv6Header && packet.u8(6) == kProtoHopByHop) return IpError::kBadTotalLength;

  out->version = 6;
  out->fragment = false;
  out->first_fragment = false;
  out->total_length = static_cast<uint32_t>(total_length);
  out->src_offset = 8;
  out->dst_offset = 24;
  out->address_length = 16;
  return walk_extensions(packet.sub(0, total_length), out);
}

}  // namespace

IpError parse_ip(ConstView packet, IpPacket* out) {
  if (packet.empty()) return IpError::kTruncated;
  switch (packet.u8(0) >> 4) {
    case 4:
      return parse_ipv4(packet, out);
    case 6:
      return parse_ipv6(packet, out);
    default:
      return IpError::kBadVersion;
  }
}

const char* to_string(IpError error) {
  switch (error) {
    case IpError::kNone:
      return "none";
    case IpError::kTruncated:
      return "truncated";
    case IpError::kBadVersion:
      return "bad IP version";
    case IpError::kBadHeaderLength:
      return "bad header length";
    case IpError::kBadTotalLength:
      return "bad total length";
    case IpError::kBadExtensionHeader:
      return "bad extension header";
    case IpError::kTooManyExtensions:
      return "too many extension headers";
  }
  return "unknown";
}

}  // namespace ocvpn::pkt
