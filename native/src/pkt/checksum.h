// Internet checksum (RFC 1071), fast enough to run over every byte that is coalesced or segmented.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/ip_packet.h"
#include "pkt/view.h"

namespace ocvpn::pkt {

/**
 * One's-complement sum that is not folded yet, in the machine's byte order (RFC 1071 2(B)). Sums of parts may be
 * chained through `initial` as long as every part but the last has an even length.
 */
uint64_t sum_bytes(ConstView bytes, uint64_t initial = 0);

/** Adds with end-around carry. */
inline uint64_t sum_add(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

/** The 16-bit sum in network byte order (as a number: compare with be16()), not complemented. */
uint16_t sum_fold(uint64_t sum);

/**
 * Sum of the TCP/UDP/ICMPv6 pseudo header (RFC 793, RFC 8200 8.1).
 * `l4_length`: upper-layer header and payload, bytes.
 */
uint64_t sum_pseudo_header(ConstView packet, const IpPacket& ip, uint8_t protocol, size_t l4_length);

/** IPv4 header checksum: writes it. `header` is the header with options. */
void write_ipv4_checksum(MutView header);

/** Where the checksum is in an upper-layer header: TCP 16, UDP 6, ICMP and ICMPv6 2; -1 for others. */
int l4_checksum_offset(uint8_t protocol);

/**
 * Whether the upper-layer checksum is right: TCP, UDP (an absent one, 0, is right over IPv4 and wrong over IPv6), ICMP,
 * ICMPv6. False for fragments, other protocols and truncated headers.
 */
bool verify_l4_checksum(ConstView packet, const IpPacket& ip);

/** Computes and writes it over the whole packet. False (and nothing written) where verify would not look. */
bool write_l4_checksum(MutView packet, const IpPacket& ip);

}  // namespace ocvpn::pkt
