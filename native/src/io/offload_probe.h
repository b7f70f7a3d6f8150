// What this kernel offers, found by trying.
#pragma once

namespace ocvpn::io {

struct OffloadSupport {
  bool tun_vnet_hdr = false;
  bool tun_tso = false;
  bool tun_uso = false;
  bool udp_segment = false;
  bool udp_gro = false;
};

/// Creates a throw-away tun device (false for all three without the right to do so) and sends one segmented
/// datagram over loopback. Takes well under a millisecond.
OffloadSupport probe_offloads();

}  // namespace ocvpn::io
