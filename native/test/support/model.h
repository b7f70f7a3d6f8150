// A slow and obvious model of TCP and UDP packets: fields in, bytes out, one byte at a time. It shares no code with
// src/pkt, so that a mistake there is not repeated here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/check.h"

namespace ocvpn::test {

using Bytes = std::vector<uint8_t>;

struct Extension {
  uint8_t type;
  Bytes bytes;  // whole header; byte 0 (next header) is filled in by build()
};

struct Model {
  int version = 4;
  Bytes src, dst;
  uint8_t tos = 0;  // traffic class in IPv6
  uint8_t ttl = 64;
  uint16_t id = 0;
  bool df = true;
  uint32_t flow_label = 0;
  Bytes ip_options;                   // IPv4, multiple of 4
  std::vector<Extension> extensions;  // IPv6
  Bytes final_dst;                    // in the pseudo header, if a routing header makes it another one than dst

  bool tcp = true;
  uint16_t sport = 0, dport = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t reserved = 0;  // low nibble of the data offset byte (NS/AE bit)
  uint8_t flags = 0x10;
  uint16_t window = 0, urgent = 0;
  Bytes tcp_options;  // multiple of 4
  bool udp_no_checksum = false;
  Bytes payload;

  size_t ip_header() const;
  size_t l4_header() const { return tcp ? 20 + tcp_options.size() : 8; }
  size_t headers() const { return ip_header() + l4_header(); }
};

/** RFC 1071 by the definition: 16-bit words added, carries folded, complemented. */
uint16_t model_checksum(const Bytes& bytes);
/** Pseudo header of the model's packet with this upper-layer length. */
Bytes model_pseudo_header(const Model& m, size_t l4_length);

/** Whole packet with right lengths and checksums. */
Bytes build(const Model& m);

/** What a super-packet with `mss` payload bytes per segment is on the wire, in order (RFC 9293, TSO/USO rules). */
std::vector<Model> model_segments(const Model& m, size_t mss);

/** Random addresses, options, fields; payload of exactly `payload` bytes; `plain`: no IP options or extensions. */
Model random_model(Random& random, int version, bool tcp, size_t payload, bool plain);

/** The 10 bytes of virtio_net_hdr. */
Bytes model_vnet(uint8_t flags, uint8_t gso_type, uint16_t hdr_len, uint16_t gso_size, uint16_t csum_start,
                 uint16_t csum_offset);

/** The frame that a kernel would hand over for a super-packet: NEEDS_CSUM with the pseudo-header sum. */
Bytes model_super_frame(const Model& m, size_t mss);

Bytes concat(const Bytes& a, const Bytes& b);

}  // namespace ocvpn::test
