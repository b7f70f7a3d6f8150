#include "pkt/segment.h"

#include "pkt/checksum.h"
#include "pkt/l4_header.h"

namespace ocvpn::pkt {

namespace {

/** Finishes the one checksum of a packet that the kernel left to the device: `packet` from csum_start on. */
void complete_checksum(MutView covered, size_t csum_offset) {
  auto checksum = static_cast<uint16_t>(~sum_fold(sum_bytes(covered)));
  // As the kernel does for every protocol (CSUM_MANGLED_0): the field held the pseudo-header sum and may not become
  // UDP's "no checksum".
  if (checksum == 0) checksum = 0xffff;
  covered.put_be16(csum_offset, checksum);
}

}  // namespace

SegmentResult Segmenter::begin(MutView frame, size_t max_packet) {
  index_ = 0;
  count_ = 0;
  packet_ = {};
  if (frame.size() < kVnetHeaderSize) return SegmentResult::kTruncated;
  const VnetHeader vnet = load_vnet_header(frame);
  packet_ = frame.from(kVnetHeaderSize);
  if (parse_ip(packet_, &ip_) != IpError::kNone) return SegmentResult::kBadIp;
  // hdr_len is a hint (the kernel fills in the length of its linear buffer), so the headers are measured, not believed;
  // but it cannot lie beyond the packet.
  if (vnet.hdr_len > packet_.size()) return SegmentResult::kBadHdrLen;
  return vnet.gso_type == kGsoNone ? begin_single(vnet, max_packet) : begin_gso(vnet, max_packet);
}

SegmentResult Segmenter::begin_single(const VnetHeader& vnet, size_t max_packet) {
  packet_ = packet_.sub(0, ip_.total_length);
  single_ = true;
  if ((vnet.flags & kVnetNeedsCsum) != 0) {
    // Checked before the size, so that nobody is answered about a packet that is malformed.
    const size_t field = static_cast<size_t>(vnet.csum_start) + vnet.csum_offset;
    if (ip_.fragment || vnet.csum_start < ip_.l4_offset || !packet_.contains(field, 2)) {
      return SegmentResult::kBadChecksumStart;
    }
  }
  if (packet_.size() > max_packet) return SegmentResult::kTooBig;
  if ((vnet.flags & kVnetNeedsCsum) != 0) complete_checksum(packet_.from(vnet.csum_start), vnet.csum_offset);
  header_length_ = packet_.size();
  segment_payload_ = 0;
  count_ = 1;
  return SegmentResult::kOk;
}

SegmentResult Segmenter::begin_gso(const VnetHeader& vnet, size_t max_packet) {
  const SegmentResult checked = check_gso_headers(vnet);
  if (checked != SegmentResult::kOk) return checked;

  payload_length_ = packet_.size() - header_length_;
  segment_payload_ = vnet.gso_size;
  if (header_length_ + (payload_length_ < segment_payload_ ? payload_length_ : segment_payload_) > max_packet) {
    // A byte stream may be cut anywhere; datagrams have the length that their sender chose.
    if (ip_.protocol != kProtoTcp || max_packet <= header_length_) return SegmentResult::kTooBig;
    segment_payload_ = max_packet - header_length_;
  }
  count_ = payload_length_ == 0 ? 1 : (payload_length_ + segment_payload_ - 1) / segment_payload_;
  single_ = false;
  std::memcpy(headers_, packet_.at(0, header_length_), header_length_);
  const bool given = (vnet.flags & kVnetNeedsCsum) != 0;
  pseudo_sum_ = given ? given_pseudo_sum() : sum_pseudo_header(packet_, ip_, ip_.protocol, 0);
  return SegmentResult::kOk;
}

SegmentResult Segmenter::check_gso_headers(const VnetHeader& vnet) {
  const uint8_t type = vnet.gso_type & static_cast<uint8_t>(~kGsoEcn);
  const bool tcp = type == kGsoTcpV4 || type == kGsoTcpV6;
  if (!tcp && type != kGsoUdpL4) return SegmentResult::kBadGsoType;
  if (!tcp && (vnet.gso_type & kGsoEcn) != 0) return SegmentResult::kBadGsoType;
  if (ip_.protocol != (tcp ? kProtoTcp : kProtoUdp)) return SegmentResult::kProtocolMismatch;
  if (tcp && ip_.version != (type == kGsoTcpV4 ? 4 : 6)) return SegmentResult::kProtocolMismatch;
  if (vnet.gso_size == 0) return SegmentResult::kBadGsoSize;
  if (ip_.fragment) return SegmentResult::kFragmentedGso;
  if (ip_.total_length != packet_.size()) return SegmentResult::kBadLength;
  // The checksums are written anew: somebody must have said that what they covered is good.
  if ((vnet.flags & (kVnetNeedsCsum | kVnetDataValid)) == 0) return SegmentResult::kGsoWithoutChecksum;
  if ((vnet.flags & kVnetNeedsCsum) != 0 &&
      (vnet.csum_start != ip_.l4_offset || vnet.csum_offset != l4_checksum_offset(ip_.protocol))) {
    return SegmentResult::kBadChecksumStart;
  }
  const SegmentResult l4 = tcp ? check_tcp_header() : check_udp_header();
  if (l4 != SegmentResult::kOk) return l4;
  return header_length_ > kMaxSegmentHeaders ? SegmentResult::kHeadersTooLong : SegmentResult::kOk;
}

SegmentResult Segmenter::check_tcp_header() {
  if (ip_.l4_length() < kTcpMinHeader) return SegmentResult::kBadL4Header;
  const size_t length = static_cast<size_t>(packet_.u8(ip_.l4_offset + kTcpDataOffset) >> 4) * 4;
  if (length < kTcpMinHeader || length > ip_.l4_length()) return SegmentResult::kBadL4Header;
  // These begin or break a connection; no stack puts them on more than one segment.
  if ((packet_.u8(ip_.l4_offset + kTcpFlags) & (kTcpSyn | kTcpRst)) != 0) return SegmentResult::kBadL4Header;
  header_length_ = ip_.l4_offset + length;
  return SegmentResult::kOk;
}

SegmentResult Segmenter::check_udp_header() {
  if (ip_.l4_length() < kUdpHeaderSize) return SegmentResult::kBadL4Header;
  if (packet_.be16(ip_.l4_offset + kUdpLength) != ip_.l4_length()) return SegmentResult::kBadL4Header;
  header_length_ = ip_.l4_offset + kUdpHeaderSize;
  return SegmentResult::kOk;
}

/**
 * What the kernel put into the checksum field, less the length. Better than summing addresses ourselves: with an IPv6
 * routing header the final destination counts (RFC 8200 8.1), not the one in the IP header.
 */
uint64_t Segmenter::given_pseudo_sum() const {
  const ConstView l4 = ConstView(packet_).from(ip_.l4_offset);
  const auto minus_length = static_cast<uint16_t>(~l4.size());
  const size_t field = static_cast<size_t>(l4_checksum_offset(ip_.protocol));
  const uint8_t words[4] = {l4.u8(field), l4.u8(field + 1), static_cast<uint8_t>(minus_length >> 8),
                            static_cast<uint8_t>(minus_length)};
  return sum_bytes({words, sizeof words});
}

bool Segmenter::next(MutView* packet) {
  if (index_ == count_) return false;
  const size_t index = index_++;
  if (single_) {
    *packet = packet_;
    return true;
  }
  const size_t payload_offset = index * segment_payload_;
  const size_t payload = index + 1 == count_ ? payload_length_ - payload_offset : segment_payload_;
  // Headers end where the payload begins, so they start payload_offset bytes into the packet.
  *packet = packet_.sub(payload_offset, header_length_ + payload);
  write_headers(*packet, index);
  return true;
}

void Segmenter::write_headers(MutView segment, size_t index) const {
  segment.put(0, {headers_, header_length_});
  if (ip_.version == 4) {
    segment.put_be16(2, static_cast<uint16_t>(segment.size()));
    segment.put_be16(4, static_cast<uint16_t>(segment.be16(4) + index));
    write_ipv4_checksum(segment.sub(0, ip_.l4_offset));
  } else {
    segment.put_be16(4, static_cast<uint16_t>(segment.size() - kIpv6Header));
  }
  const MutView l4 = segment.from(ip_.l4_offset);
  const bool tcp = ip_.protocol == kProtoTcp;
  if (tcp) {
    patch_tcp(l4, index * segment_payload_, index + 1 == count_);
  } else {
    l4.put_be16(kUdpLength, static_cast<uint16_t>(l4.size()));
  }
  const size_t field = tcp ? kTcpChecksumField : kUdpChecksumField;
  l4.put_be16(field, static_cast<uint16_t>(l4.size()));  // the length of the pseudo header: summed with the rest
  auto checksum = static_cast<uint16_t>(~sum_fold(sum_bytes(l4, pseudo_sum_)));
  if (!tcp && checksum == 0) checksum = 0xffff;
  l4.put_be16(field, checksum);
}

void Segmenter::patch_tcp(MutView tcp, size_t payload_offset, bool last) const {
  tcp.put_be32(kTcpSequence, tcp.be32(kTcpSequence) + static_cast<uint32_t>(payload_offset));
  uint8_t flags = tcp.u8(kTcpFlags);
  if (!last) flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  if (payload_offset != 0) flags &= static_cast<uint8_t>(~kTcpCwr);
  if ((flags & kTcpUrg) != 0 && payload_offset != 0) {
    // The pointer counts from this segment's sequence number (RFC 9293 3.8.5); once passed, nothing is urgent.
    const size_t urgent = tcp.be16(kTcpUrgentPointer);
    if (urgent > payload_offset) {
      tcp.put_be16(kTcpUrgentPointer, static_cast<uint16_t>(urgent - payload_offset));
    } else {
      flags &= static_cast<uint8_t>(~kTcpUrg);
      tcp.put_be16(kTcpUrgentPointer, 0);
    }
  }
  tcp.put_u8(kTcpFlags, flags);
}

const char* to_string(SegmentResult result) {
  switch (result) {
    case SegmentResult::kOk:
      return "ok";
    case SegmentResult::kTooBig:
      return "too big";
    case SegmentResult::kTruncated:
      return "truncated";
    case SegmentResult::kBadIp:
      return "bad IP header";
    case SegmentResult::kBadLength:
      return "bad length";
    case SegmentResult::kBadHdrLen:
      return "bad hdr_len";
    case SegmentResult::kBadChecksumStart:
      return "bad csum_start or csum_offset";
    case SegmentResult::kBadGsoType:
      return "bad gso_type";
    case SegmentResult::kBadGsoSize:
      return "bad gso_size";
    case SegmentResult::kProtocolMismatch:
      return "gso_type does not match the protocol";
    case SegmentResult::kFragmentedGso:
      return "super-packet in a fragment";
    case SegmentResult::kBadL4Header:
      return "bad TCP or UDP header";
    case SegmentResult::kHeadersTooLong:
      return "headers too long";
    case SegmentResult::kGsoWithoutChecksum:
      return "super-packet without checksum";
  }
  return "unknown";
}

}  // namespace ocvpn::pkt
