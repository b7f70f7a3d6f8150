#include "own_channels.h"

#include <cstring>
#include <stdexcept>
#include <utility>

#include "pkt/cstp.h"

namespace ocvpn::bench {

namespace {

constexpr size_t kTlsHeader = TlsDirection::kHeader;

/** A record of the library with a KEEPALIVE: what the transport holds of it. Empty: the library wants to send nothing. */
pkt::ConstView probe(Channel* channel, Transport* transport, size_t header_size) {
  uint8_t packet[pkt::kCstpHeaderSize];
  if (header_size == pkt::kDtlsTypeSize) packet[0] = static_cast<uint8_t>(pkt::PacketType::kKeepalive);
  else pkt::write_cstp_header({packet, sizeof packet}, pkt::PacketType::kKeepalive, 0);
  if (!transport->flush() || !channel->write(packet, header_size)) return {};
  return transport->unsent();
}

void take_over_tls(Session* session) {
  SSL* tls = session->tls.get();
  TlsSecrets& secrets = session->secrets;
  const uint16_t suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(tls));
  if (SSL_version(tls) != TLS1_3_VERSION || SSL_has_pending(tls) || !secrets.out.begin(suite, true) ||
      !secrets.in.begin(suite, false))
    return;
  const pkt::ConstView record = probe(session->stream_channel.get(), session->stream.get(), pkt::kCstpHeaderSize);
  const bool found = secrets.out.seek(record.data(), record.size()) && secrets.out.pass(record.data(), record.size());
  if (found) session->stream_channel = std::make_unique<TlsChannel>(&secrets, session->stream.get());
  session->stream->flush();
}

void take_over_dtls(Session* session) {
  const pkt::ConstView record = probe(session->datagram_channel.get(), session->datagrams.get(), pkt::kDtlsTypeSize);
  pkt::DtlsRecordHeader header;
  if (pkt::peek_dtls_record(record, &header) && header.length > DtlsKeys::kNonce) {
    auto keys = DtlsKeys::derive(session->dtls.get(), header);
    // The library's nonces start anywhere and count up; ours begin with the epoch and must not meet them.
    const bool apart = record.be16(pkt::kDtlsRecordHeaderSize) != header.epoch;
    if (keys && apart)
      session->datagram_channel =
          std::make_unique<DtlsChannel>(std::move(keys), session->dtls.get(), session->datagrams.get());
  }
  session->datagrams->flush();
}

void on_secret(const SSL* ssl, const char* line) {
  auto* session = static_cast<Session*>(SSL_get_app_data(ssl));
  if (!session) return;
  session->secrets.out.note_secret(line, "CLIENT_TRAFFIC_SECRET_0");
  session->secrets.in.note_secret(line, "SERVER_TRAFFIC_SECRET_0");
}

}  // namespace

void note_secrets(SSL_CTX* tls) { SSL_CTX_set_keylog_callback(tls, on_secret); }

void take_over(Session* session) {
  take_over_tls(session);
  if (session->dtls) take_over_dtls(session);
}

// ---------------------------------------------------------------- TLS

int TlsChannel::read(uint8_t* out, size_t capacity) {
  for (;;) {
    const pkt::ConstView input = transport_->peek();
    if (input.size() < kTlsHeader) return 0;
    const size_t length = kTlsHeader + input.be16(3);
    if (length > kTlsHeader + TlsDirection::kTag + capacity) return -1;
    if (input.size() < length) return 0;
    if (!secrets_->in.active() && !secrets_->in.seek(input.data(), length))
      throw std::runtime_error("the number of the server's next record was not found");
    uint8_t type = 0;
    const int bytes = secrets_->in.open(input.data(), length, out, &type);
    transport_->consume(length);
    if (bytes < 0) return -1;
    if (type == SSL3_RT_APPLICATION_DATA && bytes > 0) return bytes;
    if (type == SSL3_RT_ALERT) return -1;
    if (type == SSL3_RT_HANDSHAKE && !on_handshake(out, static_cast<size_t>(bytes))) return -1;
  }
}

/** A ticket is of no use to a client that does not come again. */
bool TlsChannel::on_handshake(const uint8_t* message, size_t length) {
  if (length == 0 || message[0] != SSL3_MT_KEY_UPDATE) return true;
  uint8_t request = 0;
  if (!TlsKeyUpdate::parse(message, length, &request) || !secrets_->in.next_generation()) return false;
  if (request != TlsKeyUpdate::kRequested) return true;
  const auto answer = TlsKeyUpdate::message(TlsKeyUpdate::kNotRequested);
  const bool sent = seal(SSL3_RT_HANDSHAKE, answer.data(), answer.size()) && secrets_->out.next_generation();
  transport_->flush();
  return sent;
}

bool TlsChannel::seal(uint8_t content_type, const uint8_t* data, size_t length) {
  const size_t size = length + TlsDirection::kOverhead;
  uint8_t* record = transport_->reserve(size);
  if (!record) return false;
  std::memcpy(record + kTlsHeader, data, length);
  if (!secrets_->out.seal(content_type, record, length)) return false;
  transport_->commit(size);
  return true;
}

bool TlsChannel::write(const uint8_t* data, size_t length) { return seal(SSL3_RT_APPLICATION_DATA, data, length); }

void TlsChannel::close() {
  const uint8_t close_notify[] = {SSL3_AL_WARNING, SSL3_AD_CLOSE_NOTIFY};
  seal(SSL3_RT_ALERT, close_notify, sizeof close_notify);
}

// ---------------------------------------------------------------- DTLS

int DtlsChannel::read(uint8_t* out, size_t capacity) {
  for (pkt::DtlsRecordHeader header;;) {
    if (rest_.empty()) {
      rest_ = transport_->peek();
      if (rest_.empty()) return 0;
      const bool known = pkt::peek_dtls_record(rest_, &header);
      if (known && header.content_type != static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData)) {
        rest_ = {};
        const int got = library_.read(out, capacity);  // the whole datagram
        if (got != 0) return got;
        continue;
      }
      transport_->consume(rest_.size());
    }
    if (!pkt::peek_dtls_record(rest_, &header)) {
      rest_ = {};
      continue;
    }
    const uint8_t* record = rest_.data();
    rest_ = rest_.from(pkt::kDtlsRecordHeaderSize + header.length);
    const int bytes = header.length <= capacity ? keys_->open(record, header, out) : -1;
    if (bytes > 0) return bytes;
  }
}

bool DtlsChannel::write(const uint8_t* data, size_t length) {
  const size_t size = length + DtlsKeys::kOverhead;
  uint8_t* record = transport_->reserve(size);
  if (!record || !keys_->seal(data, length, record)) return false;
  transport_->commit(size);
  return true;
}

}  // namespace ocvpn::bench
