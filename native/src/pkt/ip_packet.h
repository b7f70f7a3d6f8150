// One pass over the IP headers of an inner packet. Everything else in this folder works from its result.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/view.h"

namespace ocvpn::pkt {

// IANA protocol numbers.
constexpr uint8_t kProtoHopByHop = 0;
constexpr uint8_t kProtoIcmp = 1;
constexpr uint8_t kProtoIgmp = 2;
constexpr uint8_t kProtoTcp = 6;
constexpr uint8_t kProtoUdp = 17;
constexpr uint8_t kProtoRouting = 43;
constexpr uint8_t kProtoFragment = 44;
constexpr uint8_t kProtoAh = 51;
constexpr uint8_t kProtoIcmpV6 = 58;
constexpr uint8_t kProtoNoNext = 59;
constexpr uint8_t kProtoDestOptions = 60;
constexpr uint8_t kProtoMobility = 135;

constexpr size_t kIpv4MinHeader = 20;
constexpr size_t kIpv6Header = 40;

/** Why a packet is not an IP packet that we carry. */
enum class IpError : uint8_t {
  kNone,
  kTruncated,             // shorter than the fixed header
  kBadVersion,            // neither 4 nor 6
  kBadHeaderLength,       // IPv4 IHL below 5 or beyond the packet
  kBadTotalLength,        // length field below the headers or beyond the bytes that are there
  kBadExtensionHeader,    // IPv6 extension header that ends beyond the packet
  kTooManyExtensions,     // more than kMaxExtensionHeaders
};

/** Bound on the walk, so that a packet of nothing but empty options costs no more than others. */
constexpr int kMaxExtensionHeaders = 8;

/** Offsets are in bytes from the start of the packet. */
struct IpPacket {
  uint8_t version = 0;          // 4 or 6
  uint8_t protocol = 0;         // of the upper layer (after extension headers)
  bool fragment = false;        // MF set or offset not 0
  bool first_fragment = false;  // of a fragmented packet
  bool has_options = false;     // IPv4 options or IPv6 extension headers
  uint16_t l4_offset = 0;       // first byte after all IP headers
  uint32_t total_length = 0;    // of the IP packet; bytes after it are padding
  uint8_t src_offset = 0;
  uint8_t dst_offset = 0;
  uint8_t address_length = 0;   // 4 or 16

  ConstView src(ConstView packet) const { return packet.sub(src_offset, address_length); }
  ConstView dst(ConstView packet) const { return packet.sub(dst_offset, address_length); }
  size_t l4_length() const { return total_length - l4_offset; }
  /** Whether the upper-layer header is at l4_offset (false in later fragments). */
  bool has_l4_header() const { return !fragment || first_fragment; }
};

/**
 * Parses an IPv4 (RFC 791) or IPv6 (RFC 8200) header chain. Checks what the further code relies on, not what a router
 * would (the IPv4 header checksum is left to the kernel). IPv6 jumbograms (RFC 2675) are refused as kBadTotalLength.
 */
IpError parse_ip(ConstView packet, IpPacket* out);

/** For log lines and counters. */
const char* to_string(IpError error);

}  // namespace ocvpn::pkt
