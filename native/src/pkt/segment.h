// From one read of a tun device with IFF_VNET_HDR to the inner packets for the client.
//
// Theory of operation. The kernel hands over TCP and UDP super-packets of up to 64 KiB and packets whose checksum is
// not finished. Segments are made in place: the payload stays where it was read, and the headers of segment n are
// written right in front of its payload, over the end of segment n-1, which the caller has encrypted by then. So
// payload bytes are read once (checksum) and never copied. In front of each segment there are at least
// kSegmentHeadroom bytes that the caller may overwrite (the CSTP header of 8 bytes, the DTLS type byte).
//
//   frame   | vnet 10 | headers | payload 0 | payload 1 | payload 2 |
//   next()            | headers | payload 0 |
//   next()                  | hr | headers' | payload 1 |
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/ip_packet.h"
#include "pkt/view.h"
#include "pkt/vnet_header.h"

namespace ocvpn::pkt {

/** Writable bytes in front of each packet that Segmenter gives out. */
constexpr size_t kSegmentHeadroom = kVnetHeaderSize;

/** What a frame from the tun turned out to be. Everything but kOk and kTooBig is malformed: count and drop. */
enum class SegmentResult : uint8_t {
  kOk,
  kTooBig,              // larger than the tunnel takes and not to be split here: answer by icmp_error.h
  kTruncated,           // no vnet header
  kBadIp,               // parse_ip refused it
  kBadLength,           // bytes after the packet or length fields that do not match a super-packet
  kBadHdrLen,           // hdr_len beyond the packet
  kBadChecksumStart,    // csum_start/csum_offset outside the packet or not at the protocol's checksum
  kBadGsoType,          // unknown, or UFO
  kBadGsoSize,          // 0
  kProtocolMismatch,    // gso_type does not fit IP version or protocol
  kFragmentedGso,       // super-packet that claims to be an IP fragment
  kBadL4Header,         // TCP data offset or UDP length wrong
  kHeadersTooLong,      // more than kMaxSegmentHeaders
  kGsoWithoutChecksum,  // super-packet of which nobody vouches for the checksum
};

const char* to_string(SegmentResult result);

/** IP with options or extension headers and a full TCP header. */
constexpr size_t kMaxSegmentHeaders = 320;

/**
 * Iterates over the packets in one tun frame. Holds no memory of its own but a copy of the headers; `frame` must stay
 * and is overwritten. Use: begin(), then next() until it is false, each packet consumed before the next call.
 */
class Segmenter {
 public:
  /**
   * `frame`: vnet header and packet as read. `max_packet`: data MTU of the tunnel, bytes. A TCP super-packet whose
   * segments are larger is cut smaller; other packets that are larger are kTooBig (nothing is written then, so that
   * packet() still is the offending packet).
   */
  SegmentResult begin(MutView frame, size_t max_packet);

  /** The next packet; its last use must be before the following call. False when there is none. */
  bool next(MutView* packet);

  /** Packets that next() will have given in total. Valid after kOk. */
  size_t count() const { return count_; }
  /** Upper bound of the packets' lengths, bytes (all but the last have it). Valid after kOk. */
  size_t segment_length() const { return header_length_ + segment_payload_; }
  /** The frame's packet and its headers; valid after kOk (until next()) and kTooBig. */
  ConstView packet() const { return packet_; }
  const IpPacket& ip() const { return ip_; }

 private:
  SegmentResult begin_single(const VnetHeader& vnet, size_t max_packet);
  SegmentResult begin_gso(const VnetHeader& vnet, size_t max_packet);
  SegmentResult check_gso_headers(const VnetHeader& vnet);
  SegmentResult check_tcp_header();
  SegmentResult check_udp_header();
  uint64_t given_pseudo_sum() const;
  void write_headers(MutView segment, size_t index) const;
  void patch_tcp(MutView tcp, size_t payload_offset, bool last) const;

  MutView packet_;
  IpPacket ip_;
  size_t header_length_ = 0;    // IP and L4
  size_t segment_payload_ = 0;  // of all segments but the last
  size_t payload_length_ = 0;   // of the whole packet
  size_t index_ = 0;
  size_t count_ = 0;
  bool single_ = true;          // not a super-packet: given out as it is
  uint64_t pseudo_sum_ = 0;     // of the pseudo header without its length
  uint8_t headers_[kMaxSegmentHeaders];
};

}  // namespace ocvpn::pkt
