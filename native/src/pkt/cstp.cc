#include "pkt/cstp.h"

namespace ocvpn::pkt {

namespace {

constexpr uint8_t kMagic[4] = {'S', 'T', 'F', 1};
constexpr uint8_t kHandshakeClientHello = 1;

}  // namespace

bool is_packet_type(uint8_t type) {
  switch (static_cast<PacketType>(type)) {
    case PacketType::kData:
    case PacketType::kDpdOut:
    case PacketType::kDpdResp:
    case PacketType::kDisconnect:
    case PacketType::kKeepalive:
    case PacketType::kCompressed:
    case PacketType::kTerminate:
      return true;
  }
  return false;
}

CstpError parse_cstp(ConstView bytes, size_t max_payload, CstpPacket* out) {
  if (bytes.size() < kCstpHeaderSize) {
    // A wrong beginning is known to be wrong before the rest arrives.
    const size_t there = bytes.size() < sizeof kMagic ? bytes.size() : sizeof kMagic;
    if (!bytes.sub(0, there).equals({kMagic, there})) return CstpError::kBadMagic;
    return CstpError::kIncomplete;
  }
  if (!bytes.sub(0, sizeof kMagic).equals({kMagic, sizeof kMagic}) || bytes.u8(7) != 0) return CstpError::kBadMagic;
  if (!is_packet_type(bytes.u8(6))) return CstpError::kUnknownType;
  const size_t length = bytes.be16(4);
  if (length > max_payload) return CstpError::kTooLong;
  if (!bytes.contains(kCstpHeaderSize, length)) return CstpError::kIncomplete;
  out->type = static_cast<PacketType>(bytes.u8(6));
  out->payload = bytes.sub(kCstpHeaderSize, length);
  out->size = kCstpHeaderSize + length;
  return CstpError::kNone;
}

void write_cstp_header(MutView out, PacketType type, size_t payload_length) {
  detail::require(payload_length <= kCstpMaxPayload);
  out.put(0, {kMagic, sizeof kMagic});
  out.put_be16(4, static_cast<uint16_t>(payload_length));
  out.put_u8(6, static_cast<uint8_t>(type));
  out.put_u8(7, 0);
}

CstpError parse_dtls_payload(ConstView record, CstpPacket* out) {
  if (record.empty()) return CstpError::kIncomplete;
  if (!is_packet_type(record.u8(0))) return CstpError::kUnknownType;
  out->type = static_cast<PacketType>(record.u8(0));
  out->payload = record.from(kDtlsTypeSize);
  out->size = record.size();
  return CstpError::kNone;
}

bool peek_dtls_record(ConstView datagram, DtlsRecordHeader* out) {
  if (datagram.size() < kDtlsRecordHeaderSize) return false;
  const uint8_t type = datagram.u8(0);
  if (type < static_cast<uint8_t>(DtlsContentType::kChangeCipherSpec) ||
      type > static_cast<uint8_t>(DtlsContentType::kApplicationData)) {
    return false;
  }
  const uint16_t version = datagram.be16(1);
  if ((version >> 8) != 0xfe && version != 0x0100) return false;
  const uint16_t length = datagram.be16(11);
  if (!datagram.contains(kDtlsRecordHeaderSize, length)) return false;
  out->content_type = type;
  out->version = version;
  out->epoch = datagram.be16(3);
  out->sequence = static_cast<uint64_t>(datagram.be16(5)) << 32 | datagram.be32(7);
  out->length = length;
  return true;
}

bool is_dtls_client_hello(ConstView datagram) {
  DtlsRecordHeader header;
  if (!peek_dtls_record(datagram, &header)) return false;
  return header.content_type == static_cast<uint8_t>(DtlsContentType::kHandshake) && header.epoch == 0 &&
         header.length > 0 && datagram.u8(kDtlsRecordHeaderSize) == kHandshakeClientHello;
}

}  // namespace ocvpn::pkt
