#include "io/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

namespace ocvpn::io {
namespace {

// Linux 6.2; older headers lack them. The kernel takes both or none.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

constexpr unsigned kTsoBits = TUN_F_TSO4 | TUN_F_TSO6;
constexpr unsigned kUsoBits = TUN_F_USO4 | TUN_F_USO6;

// Switches on the most that the kernel takes of what was asked for, richest set first. Segmentation is legal only
// together with TUN_F_CSUM. Returns the accepted bits; 0 when even checksum offload is refused.
unsigned negotiate_offloads(int fd, bool tso, bool uso) {
  const unsigned tso_bits = tso ? kTsoBits : 0;
  // Kernels without TUN_F_TSO_ECN segment packets with ECN bits themselves.
  const unsigned ecn = tso ? TUN_F_TSO_ECN : 0;
  const unsigned uso_bits = uso ? kUsoBits : 0;
  const unsigned attempts[] = {
      TUN_F_CSUM | tso_bits | ecn | uso_bits,
      TUN_F_CSUM | tso_bits | uso_bits,
      TUN_F_CSUM | tso_bits | ecn,
      TUN_F_CSUM | tso_bits,
      TUN_F_CSUM,
  };
  for (const unsigned bits : attempts) {
    if (ioctl(fd, TUNSETOFFLOAD, bits) == 0) return bits;
  }
  return 0;
}

// Sets up the packet header and the offloads of an open device; degrades rather than fails.
void enable_vnet_header(Tun& tun, const TunRequest& request) {
  const int header_size = kVnetHeaderSize;
  if (ioctl(tun.fd.get(), TUNSETVNETHDRSZ, &header_size) != 0) return;
  tun.vnet_hdr = true;
  const unsigned granted = negotiate_offloads(tun.fd.get(), request.tso, request.uso);
  tun.tso = request.tso && (granted & kTsoBits) == kTsoBits;
  tun.uso = request.uso && (granted & kUsoBits) == kUsoBits;
}

// Takes the index, and sets the queue length if asked to. if_nametoindex() would hide that no descriptor is left.
Status set_up_link(Tun& tun, const TunRequest& wanted) {
  UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return last_error("socket");
  ifreq request{};
  std::memcpy(request.ifr_name, tun.name.c_str(), tun.name.size());
  if (ioctl(control.get(), SIOCGIFINDEX, &request) != 0) return last_error("ioctl SIOCGIFINDEX", tun.name);
  tun.ifindex = request.ifr_ifindex;
  if (!wanted.tx_queue_length) return Done{};
  request.ifr_qlen = static_cast<int>(*wanted.tx_queue_length);
  if (ioctl(control.get(), SIOCSIFTXQLEN, &request) != 0) return last_error("ioctl SIOCSIFTXQLEN", tun.name);
  return Done{};
}

// Creates the device with these flags and fills fd and name.
Status create_device(Tun& tun, const std::string& name, short flags) {
  tun.fd.reset(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun.fd) return last_error("open", "/dev/net/tun");
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  // Without it a device of this name that has no reader would be taken over.
  request.ifr_flags = static_cast<short>(static_cast<unsigned short>(flags) | IFF_TUN_EXCL);
  if (ioctl(tun.fd.get(), TUNSETIFF, &request) != 0) return last_error("ioctl TUNSETIFF", name);
  tun.name.assign(request.ifr_name, strnlen(request.ifr_name, IFNAMSIZ));
  return Done{};
}

}  // namespace

Result<Tun> open_tun(const TunRequest& request) {
  if (request.name.empty() || request.name.size() >= IFNAMSIZ) {
    return SysError{"ioctl TUNSETIFF", ENAMETOOLONG, request.name};
  }
  Tun tun;
  const short plain = IFF_TUN | IFF_NO_PI;
  Status created = create_device(tun, request.name, request.vnet_hdr ? plain | IFF_VNET_HDR : plain);
  if (!created.ok()) return created.error();
  if (request.vnet_hdr) {
    enable_vnet_header(tun, request);
    if (!tun.vnet_hdr) {
      // The reader cannot know the header's size: start again without one.
      created = create_device(tun, request.name, plain);
      if (!created.ok()) return created.error();
    }
  }
  if (request.owner && ioctl(tun.fd.get(), TUNSETOWNER, static_cast<unsigned long>(*request.owner)) != 0) {
    return last_error("ioctl TUNSETOWNER", tun.name);
  }
  const Status linked = set_up_link(tun, request);
  if (!linked.ok()) return linked.error();
  return tun;
}

}  // namespace ocvpn::io
