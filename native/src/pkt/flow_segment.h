// What the coalescer needs to know of one TCP or UDP segment: the rules of coalesce.h as pure functions on headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/coalesce.h"
#include "pkt/ip_packet.h"
#include "pkt/view.h"

namespace ocvpn::pkt {

/** A packet on its way into the coalescer. */
struct FlowSegment {
  MutView frame;               // vnet scratch and the packet, cut to its total length
  MutView packet;
  IpPacket ip;
  bool has_ports = false;
  uint64_t hash = 0;           // of addresses, ports and protocol; valid with has_ports
  size_t header_length = 0;    // IP and L4; valid for candidates
  size_t payload_length = 0;
};

/** Measures the packet. kHeld: it may be coalesced; anything else: why not. */
Coalesce classify(MutView frame, const IpPacket& ip, bool tcp, bool udp, FlowSegment* out);

/** Whether two packets have the same IP version and addresses. */
bool same_addresses(ConstView a, const IpPacket& a_ip, ConstView b, const IpPacket& b_ip);

/** Same version, addresses, protocol and ports; both must have ports. */
bool same_flow(ConstView a, const IpPacket& a_ip, ConstView b, const IpPacket& b_ip);

/**
 * Whether `next` may be the packet after `count` packets that begin with `head` (headers only; sizes and checksums are
 * the caller's). `head_payload`: bytes of payload so far. kCount: yes; anything else: why not.
 */
FlushCause follows(ConstView head, const FlowSegment& next, size_t count, size_t head_payload);

/** Whether the TCP segment without payload only acknowledges: no flag but ACK, no option but timestamps (so no SACK). */
bool plain_ack(const FlowSegment& segment);

/**
 * Whether the plain ACK `next` tells the sender all that the plain ACK `held` of its flow does: it acknowledges more (so
 * that duplicate ACKs, window updates and keepalives all stay), from the same place of the stream, and its IP header,
 * ECN included, differs in nothing but the id.
 */
bool supersedes(ConstView held, const FlowSegment& next);

/** IPv4 header checksum and upper-layer checksum. */
bool checksums_right(ConstView packet, const IpPacket& ip);

/** Whether PSH is set. False for UDP. */
bool has_push(ConstView packet, const IpPacket& ip);

/**
 * Makes the packet, which holds the headers of the first of several segments and the payload of all, a super-packet:
 * lengths, IPv4 checksum, the pseudo-header sum that NEEDS_CSUM wants, `push` on TCP. Returns its vnet header.
 */
VnetHeader finish_super_packet(MutView packet, const IpPacket& ip, size_t header_length, size_t segment, bool push);

}  // namespace ocvpn::pkt
