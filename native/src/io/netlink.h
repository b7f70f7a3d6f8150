// Interface configuration over rtnetlink (rtnetlink(7), linux/rtnetlink.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/result.h"

namespace ocvpn::io {

struct InterfaceSettings {
  int ifindex = 0;
  int mtu = 0;
  bool up = false;
  /// Point-to-point: local -> peer.
  struct Ipv4 {
    std::string local;
    std::string peer;
  };
  std::optional<Ipv4> ipv4;
  /// local/128 and a route to peer/prefix through the device.
  struct Ipv6 {
    std::string local;
    std::string peer;
    int prefix = 128;
  };
  std::optional<Ipv6> ipv6;
};

/// Sets MTU and link state, then addresses, then the route; each step waits for the kernel's acknowledgement. The
/// error's syscall is the rtnetlink operation ("RTM_NEWADDR"), its detail the address and the kernel's own text.
/// The kernel's automatic link-local address and router solicitations are switched off for the device.
Status configure_interface(const InterfaceSettings& settings);

Status set_interface_mtu(int ifindex, int mtu);

}  // namespace ocvpn::io
