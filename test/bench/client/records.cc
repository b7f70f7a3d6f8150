#include "records.h"

#include "pkt/cstp.h"

namespace ocvpn::bench {

namespace {

/** The packet begins here in both channels; its header is in front, over the later vnet header. */
constexpr size_t kPacket = pkt::kVnetHeaderSize;
constexpr size_t kTlsStart = kPacket - pkt::kCstpHeaderSize;
constexpr size_t kDtlsStart = kPacket - pkt::kDtlsTypeSize;

bool is(uint8_t type, pkt::PacketType wanted) { return type == static_cast<uint8_t>(wanted); }

}  // namespace

Arrived RecordReader::handle(SSL* ssl, size_t header_size, uint8_t type, size_t size) {
  if (is(type, pkt::PacketType::kDisconnect) || is(type, pkt::PacketType::kTerminate)) return Arrived::kEnd;
  if (is(type, pkt::PacketType::kDpdResp)) session_->liveness.answered += 1;
  if (is(type, pkt::PacketType::kDpdOut)) {
    session_->liveness.asked += 1;
    // The whole payload comes back: its length is what the peer measures.
    uint8_t* start = buffer_.data() + kPacket - header_size;
    start[header_size == pkt::kDtlsTypeSize ? 0 : 6] = static_cast<uint8_t>(pkt::PacketType::kDpdResp);
    SSL_write(ssl, start, static_cast<int>(header_size + size));
    BIO_flush(SSL_get_wbio(ssl));
  }
  return Arrived::kNothing;
}

Arrived RecordReader::next_tls(pkt::MutView* frame) {
  SSL* tls = session_->tls.get();
  for (;;) {
    const int got = SSL_read(tls, buffer_.data() + kTlsStart, static_cast<int>(kCapacity - kTlsStart));
    if (got <= 0) return SSL_get_error(tls, got) == SSL_ERROR_WANT_READ ? Arrived::kNothing : Arrived::kEnd;
    pkt::CstpPacket packet;
    const pkt::ConstView record(buffer_.data() + kTlsStart, static_cast<size_t>(got));
    if (pkt::parse_cstp(record, pkt::kCstpMaxPayload, &packet) != pkt::CstpError::kNone) return Arrived::kEnd;
    if (packet.type == pkt::PacketType::kData) {
      *frame = pkt::MutView(buffer_.data(), kPacket + packet.payload.size());
      return Arrived::kData;
    }
    const auto type = static_cast<uint8_t>(packet.type);
    if (handle(tls, pkt::kCstpHeaderSize, type, packet.payload.size()) == Arrived::kEnd) return Arrived::kEnd;
  }
}

Arrived RecordReader::next_dtls(pkt::MutView* frame) {
  SSL* dtls = session_->dtls.get();
  for (;;) {
    const int got = SSL_read(dtls, buffer_.data() + kDtlsStart, static_cast<int>(kCapacity - kDtlsStart));
    if (got <= 0) return SSL_get_error(dtls, got) == SSL_ERROR_WANT_READ ? Arrived::kNothing : Arrived::kEnd;
    const size_t size = static_cast<size_t>(got) - pkt::kDtlsTypeSize;
    const uint8_t type = buffer_[kDtlsStart];
    if (is(type, pkt::PacketType::kData)) {
      *frame = pkt::MutView(buffer_.data(), kPacket + size);
      return Arrived::kData;
    }
    if (handle(dtls, pkt::kDtlsTypeSize, type, size) == Arrived::kEnd) return Arrived::kEnd;
  }
}

}  // namespace ocvpn::bench
