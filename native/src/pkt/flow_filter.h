// Small decisions about one inner packet: may this client send it, does it count as activity.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/ip_packet.h"
#include "pkt/view.h"

namespace ocvpn::pkt {

/** The inner source addresses that a client may use. Without any address set, every source is allowed. */
class SourceFilter {
 public:
  /** `address`: 4 bytes. */
  void set_ipv4(ConstView address);
  /** `address`: 16 bytes; `prefix`: 0..128 bits, larger is taken as 128. */
  void set_ipv6(ConstView address, unsigned prefix);
  /** Turns the filter on even if no address of either family is set (then nothing passes). */
  void enforce() { enforce_ = true; }

  bool allows(ConstView packet, const IpPacket& ip) const;

 private:
  bool enforce_ = false;
  bool has_ipv4_ = false;
  bool has_ipv6_ = false;
  uint8_t prefix6_ = 128;
  uint8_t ipv4_[4] = {};
  uint8_t ipv6_[16] = {};
};

/** ICMP, IGMP and ICMPv6 do not count as activity for the idle timeout (ocserv since 1.2.2). */
inline bool is_idle_neutral(const IpPacket& ip) {
  return ip.version == 4 ? (ip.protocol == kProtoIcmp || ip.protocol == kProtoIgmp) : ip.protocol == kProtoIcmpV6;
}

}  // namespace ocvpn::pkt
