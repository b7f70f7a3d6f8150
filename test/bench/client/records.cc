#include "records.h"

#include "pkt/cstp.h"

namespace ocvpn::bench {

namespace {

bool is(uint8_t type, pkt::PacketType wanted) { return type == static_cast<uint8_t>(wanted); }

/** The packet behind the channel's header, which the vnet header overwrites. */
pkt::MutView frame_of(uint8_t* record, size_t header_size, size_t size) {
  return {record + header_size - pkt::kVnetHeaderSize, pkt::kVnetHeaderSize + size};
}

}  // namespace

uint8_t* RecordReader::room(size_t header_size) {
  uint8_t* landing = coalescer_ ? coalescer_->landing(header_size) : nullptr;
  return landing ? landing : buffer_.data() + pkt::kVnetHeaderSize - header_size;
}

Arrived RecordReader::handle(bool stream, uint8_t* record, uint8_t type, size_t size) {
  if (is(type, pkt::PacketType::kDisconnect) || is(type, pkt::PacketType::kTerminate)) return Arrived::kEnd;
  if (is(type, pkt::PacketType::kDpdResp)) session_->liveness.answered += 1;
  if (is(type, pkt::PacketType::kDpdOut)) {
    session_->liveness.asked += 1;
    // The whole payload comes back: its length is what the peer measures.
    const size_t header_size = stream ? pkt::kCstpHeaderSize : pkt::kDtlsTypeSize;
    record[stream ? 6 : 0] = static_cast<uint8_t>(pkt::PacketType::kDpdResp);
    (stream ? session_->stream_channel : session_->datagram_channel)->write(record, header_size + size);
    (stream ? session_->stream : session_->datagrams)->flush();
  }
  return Arrived::kNothing;
}

Arrived RecordReader::next_tls(pkt::MutView* frame) {
  for (;;) {
    uint8_t* record = room(pkt::kCstpHeaderSize);
    const int got = session_->stream_channel->read(record, pkt::Coalescer::kLandingRoom);
    if (got <= 0) return got == 0 ? Arrived::kNothing : Arrived::kEnd;
    pkt::CstpPacket packet;
    if (pkt::parse_cstp({record, static_cast<size_t>(got)}, pkt::kCstpMaxPayload, &packet) != pkt::CstpError::kNone)
      return Arrived::kEnd;
    if (packet.type == pkt::PacketType::kData) {
      *frame = frame_of(record, pkt::kCstpHeaderSize, packet.payload.size());
      return Arrived::kData;
    }
    const auto type = static_cast<uint8_t>(packet.type);
    if (handle(true, record, type, packet.payload.size()) == Arrived::kEnd) return Arrived::kEnd;
  }
}

Arrived RecordReader::next_dtls(pkt::MutView* frame) {
  for (;;) {
    uint8_t* record = room(pkt::kDtlsTypeSize);
    const int got = session_->datagram_channel->read(record, pkt::Coalescer::kLandingRoom);
    if (got <= 0) return got == 0 ? Arrived::kNothing : Arrived::kEnd;
    const size_t size = static_cast<size_t>(got) - pkt::kDtlsTypeSize;
    if (is(record[0], pkt::PacketType::kData)) {
      *frame = frame_of(record, pkt::kDtlsTypeSize, size);
      return Arrived::kData;
    }
    if (handle(false, record, record[0], size) == Arrived::kEnd) return Arrived::kEnd;
  }
}

}  // namespace ocvpn::bench
