// The header in front of every packet on a tun device with IFF_VNET_HDR: struct virtio_net_hdr of
// linux/virtio_net.h, which does not compile as C++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pkt/view.h"

namespace ocvpn::pkt {

/** All fields in the machine's byte order (tun's default, no TUNSETVNETLE/TUNSETVNETBE). */
struct VnetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  /** Hint only: the kernel gives the length of its linear buffer, which may be more than the headers. */
  uint16_t hdr_len = 0;
  /** Payload bytes per segment. */
  uint16_t gso_size = 0;
  /** Where the checksummed part begins, from the start of the packet. */
  uint16_t csum_start = 0;
  /** Where the checksum goes, from csum_start. */
  uint16_t csum_offset = 0;
};

constexpr size_t kVnetHeaderSize = 10;
static_assert(sizeof(VnetHeader) == kVnetHeaderSize, "layout of struct virtio_net_hdr");

// VIRTIO_NET_HDR_F_*
constexpr uint8_t kVnetNeedsCsum = 1;
constexpr uint8_t kVnetDataValid = 2;

// VIRTIO_NET_HDR_GSO_*
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcpV4 = 1;
constexpr uint8_t kGsoUdpFragment = 3;  // UFO: never asked for, so never accepted
constexpr uint8_t kGsoTcpV6 = 4;
constexpr uint8_t kGsoUdpL4 = 5;        // USO, Linux 6.2
constexpr uint8_t kGsoEcn = 0x80;       // flag on the TCP types

/** Largest packet: IPv6 header and 65535 bytes of payload. */
constexpr size_t kMaxPacketSize = 40 + 65535;
/** Largest read from a tun device with IFF_VNET_HDR. */
constexpr size_t kMaxTunFrame = kVnetHeaderSize + kMaxPacketSize;

/** Reads the header; `frame` must hold kVnetHeaderSize bytes. */
inline VnetHeader load_vnet_header(ConstView frame) {
  VnetHeader header;
  std::memcpy(&header, frame.at(0, kVnetHeaderSize), kVnetHeaderSize);
  return header;
}

inline void store_vnet_header(MutView frame, const VnetHeader& header) {
  std::memcpy(frame.at(0, kVnetHeaderSize), &header, kVnetHeaderSize);
}

}  // namespace ocvpn::pkt
