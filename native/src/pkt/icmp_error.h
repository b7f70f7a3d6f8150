// "Packet too big" answers for packets that reached us although they do not fit the tunnel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/ip_packet.h"
#include "pkt/view.h"

namespace ocvpn::pkt {

/** Why no error may be (or can be) sent. */
enum class IcmpRefusal : uint8_t {
  kNone,
  kNoSource,           // the gateway has no address of this family
  kIcmpError,          // the packet is an ICMP error itself (RFC 1122 3.2.2, RFC 4443 2.4 (e))
  kLaterFragment,      // not the first fragment (RFC 1122 3.2.2)
  kGroupDestination,   // IPv4 multicast or broadcast destination (RFC 1122); IPv6 may be answered (RFC 4443 2.4 (e.3))
  kBadSource,          // source is not one host: unspecified, loopback, multicast, broadcast
  kFragmentable,       // IPv4 without DF: a router fragments it and sends no error (RFC 1812 5.2.7.1)
  kNoSpace,            // `out` is too small
};

/** Quote limits: the whole error fits the minimum MTU (RFC 1812 4.3.2.3, RFC 4443 2.4 (c)). */
constexpr size_t kIcmpV4ErrorMax = 576;
constexpr size_t kIcmpV6ErrorMax = 1280;

struct IcmpError {
  IcmpRefusal refusal = IcmpRefusal::kNone;
  /** Length of the packet in `out`, bytes; 0 when refused. */
  size_t length = 0;
};

/**
 * Builds ICMP type 3 code 4 with the next-hop MTU (RFC 1191 section 4) or ICMPv6 type 2 (RFC 4443 3.2) to the source of
 * `packet`. `gateway`: the inner gateway's address in the packet's family, 4 or 16 bytes; anything else: kNoSource.
 * `mtu`: what fits, bytes; for IPv6 raised to 1280 (RFC 8200 section 5).
 */
IcmpError build_packet_too_big(ConstView packet, const IpPacket& ip, uint32_t mtu, ConstView gateway, MutView out);

}  // namespace ocvpn::pkt
