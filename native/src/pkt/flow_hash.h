#pragma once

#include <cstdint>

#include "pkt/ip_packet.h"
#include "pkt/view.h"

namespace ocvpn::pkt {

/** Whether the upper layer begins with ports that can be told: TCP or UDP, no fragment. */
inline bool has_ports(const IpPacket& ip) {
  constexpr size_t kPortsSize = 4;
  return (ip.protocol == kProtoTcp || ip.protocol == kProtoUdp) && !ip.fragment && ip.l4_length() >= kPortsSize;
}

/**
 * A number for the flow of a packet: of addresses and protocol, and of the ports if it has_ports().
 * Packets of different flows may have the same; a peer can choose them so. `ip`: parse_ip() of `packet`.
 */
uint64_t flow_hash(ConstView packet, const IpPacket& ip);

}  // namespace ocvpn::pkt
