// CSTP framing and the DTLS record header.
//
//   CSTP over TLS, 8 bytes:  'S' 'T' 'F' 0x01 | length, 16 bits big-endian (payload) | type | 0x00
//   over DTLS, 1 byte:       type, then the payload to the end of the record
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/view.h"

namespace ocvpn::pkt {

/** Packet types of AnyConnect, the same on both channels. 1, 2 and 6 are not in use. */
enum class PacketType : uint8_t {
  kData = 0,
  kDpdOut = 3,
  kDpdResp = 4,
  kDisconnect = 5,
  kKeepalive = 7,
  kCompressed = 8,
  kTerminate = 9,
};

constexpr size_t kCstpHeaderSize = 8;
constexpr size_t kDtlsTypeSize = 1;
/** Largest payload that the length field can name. */
constexpr size_t kCstpMaxPayload = 65535;

enum class CstpError : uint8_t {
  kNone,
  kIncomplete,   // more bytes are needed
  kBadMagic,     // does not begin with "STF" 1, or the last byte is not 0
  kUnknownType,
  kTooLong,      // payload above the caller's limit
};

struct CstpPacket {
  PacketType type = PacketType::kData;
  ConstView payload;
  /** Header and payload, bytes: where the next packet begins. */
  size_t size = 0;
};

/**
 * Parses the first packet in `bytes`. `max_payload`: bytes, checked before the payload has arrived, so that a peer
 * cannot make us wait for 64 KiB. kIncomplete leaves `out` alone.
 */
CstpError parse_cstp(ConstView bytes, size_t max_payload, CstpPacket* out);

/** Writes a header in front of `payload_length` bytes, which must be at most kCstpMaxPayload. */
void write_cstp_header(MutView out, PacketType type, size_t payload_length);

/** Whether the byte is one of PacketType. */
bool is_packet_type(uint8_t type);

/** Splits a decrypted DTLS record. kIncomplete for an empty record. */
CstpError parse_dtls_payload(ConstView record, CstpPacket* out);

// ---- DTLS 1.2 record header (RFC 6347 4.1)

constexpr size_t kDtlsRecordHeaderSize = 13;

enum class DtlsContentType : uint8_t {
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

struct DtlsRecordHeader {
  uint8_t content_type = 0;
  uint16_t version = 0;    // 0xfeff DTLS 1.0, 0xfefd DTLS 1.2, 0x0100 the pre-RFC version of AnyConnect
  uint16_t epoch = 0;
  uint64_t sequence = 0;   // 48 bits
  uint16_t length = 0;     // of the fragment
};

/** Reads the header of the first record. False when it is not one or the record does not fit the datagram. */
bool peek_dtls_record(ConstView datagram, DtlsRecordHeader* out);

/** Whether the datagram begins with an unencrypted ClientHello (epoch 0, handshake type 1). */
bool is_dtls_client_hello(ConstView datagram);

}  // namespace ocvpn::pkt
