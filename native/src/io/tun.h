// Tun devices (Documentation/networking/tuntap.rst, linux/if_tun.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::io {

struct TunRequest {
  /// 'vpns%d' (the kernel picks the number) or an exact name; at most 15 bytes.
  std::string name;
  /// uid that may attach to the device; nullopt: only who has CAP_NET_ADMIN.
  std::optional<uid_t> owner;
  bool vnet_hdr = false;
  bool tso = false;
  bool uso = false;
  /// Packets that wait in the device for a reader; nullopt: the kernel's default (500).
  std::optional<uint32_t> tx_queue_length;
};

struct Tun {
  UniqueFd fd;
  std::string name;
  int ifindex = 0;
  /// What was granted. tso and uso imply vnet_hdr.
  bool vnet_hdr = false;
  bool tso = false;
  bool uso = false;
};

/// Size of struct virtio_net_hdr (linux/virtio_net.h, which does not compile as C++), bytes.
constexpr int kVnetHeaderSize = 10;

/// A new device: IFF_TUN | IFF_NO_PI, non-blocking, close-on-exec; it disappears with the last descriptor.
/// Offloads that the kernel refuses are left out. Errors: EPERM, ENOENT (/dev/net/tun), EBUSY, ENAMETOOLONG.
Result<Tun> open_tun(const TunRequest& request);

}  // namespace ocvpn::io
