// What a kernel makes of a frame written to a tun device, by the model: the packets that it stands for.
#pragma once

#include "support/model.h"

namespace ocvpn::test {

/** Fields of a plain TCP or UDP packet (no fragments); checksums are not looked at. */
Model parse_model(const Bytes& packet);

struct Expanded {
  bool valid = false;  // false: the kernel would refuse the frame
  std::vector<Bytes> packets;
};

/**
 * A frame without offload is one packet. A super-packet is checked as virtio_net_hdr_to_skb() does (checksum place,
 * UDP needs NEEDS_CSUM and at most 64 segments), its checksum field must hold the pseudo-header sum, and it is cut up.
 */
Expanded expand(const Bytes& frame);

}  // namespace ocvpn::test
