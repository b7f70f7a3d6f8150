// Client to tun: CSTP records and decrypted DTLS records; what every packet type means (protocol.md 7).
#include "dataplane/session.h"

#include <cstdio>

#include "pkt/ip_packet.h"

namespace ocvpn::dataplane {

namespace {

// Data on TCP means that the client gave UDP up, unless it was still on its way when UDP came up (protocol.md 8).
constexpr uint64_t kSettleMs = 15000;

// First byte of a DISCONNECT (protocol.md 7).
constexpr uint8_t kUserRequest = 0xb0;
constexpr uint8_t kWillReconnect = 0x91;

}  // namespace

void Session::on_tcp(uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush_tls();
  size_t bytes = 0;
  // With an error or hang-up the next receive() tells what it is, even when reading is paused.
  bool must_read = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
  while (must_read && state_ == State::running && bytes < kTurnBytes) {
    TlsResult received = tls_->receive();
    if (received.status == TlsStatus::kError) return shut(CloseReason::error, tls_->error().c_str());
    if (received.status == TlsStatus::kOk) bytes += received.bytes;
    read_tls_records();
    if (state_ != State::running) return;
    if (received.status == TlsStatus::kEnd) return shut(CloseReason::error, "the client closed the connection");
    must_read = received.status == TlsStatus::kOk && !rx_paused_ && sign_asked_ms_ == 0;
  }
  flush_tls();
}

// Where the next record is opened: where the packet in it need not be copied, if it continues those before it.
uint8_t* Session::record_room(size_t framing) {
  uint8_t* room = ws_->coalescer.landing(framing);
  return room != nullptr ? room : ws_->record.get() + Workspace::kRecordHeadroom;
}

// Everything that is there: records that stay in the stream's buffer would not wake epoll.
void Session::read_tls_records() {
  while (state_ == State::running) {
    uint8_t* record = record_room(pkt::kCstpHeaderSize);
    TlsResult result = tls_->read(record, Workspace::kRecordCapacity);
    if (result.status == TlsStatus::kOk) {
      on_cstp_record(record, result.bytes);
      continue;
    }
    if (!check_tls_rekey()) return;
    if (result.status == TlsStatus::kEnd) {
      shut(CloseReason::temporary_disconnect, "the client closed TLS without DISCONNECT");
    } else if (result.status == TlsStatus::kError) {
      std::string reason = tls_->error();
      tls_->flush();  // the alert
      shut(CloseReason::error, reason.c_str());
    } else if (result.status == TlsStatus::kWantSign) {
      ask_for_signature();
    }
    return;
  }
}

// A renegotiation needs the private key, which is in another process; nothing is read from TCP until it answered.
void Session::ask_for_signature() {
  if (sign_asked_ms_ > 0) return;
  const SignRequest* request = tls_->sign_request();
  sign_asked_ms_ = ws_->now_ms();
  Event event;
  event.type = EventType::sign;
  event.id = id_;
  event.request_id = request->id;
  event.key_index = request->key_index;
  event.scheme = request->scheme;
  event.payload_length = static_cast<uint32_t>(request->data.size());
  ws_->events.post(event, request->data.data());
  check_liveness();
}

void Session::complete_sign(uint32_t request_id, const uint8_t* signature, size_t length) {
  if (state_ != State::running || sign_asked_ms_ == 0) return;
  if (!tls_->complete_sign(request_id, signature, length)) return;
  sign_asked_ms_ = 0;
  read_tls_records();
  if (state_ == State::running) flush_tls();
  flush_tun();
  update_interest();
}

// TLS 1.2: the client renegotiates once per rekey-time; the stream lets it begin once more each time (protocol.md 11).
bool Session::check_tls_rekey() {
  if (tls_->renegotiations() == renegotiations_) return true;
  renegotiations_ = tls_->renegotiations();
  if (ws_->now_ms() - last_rekey_ms_ < uint64_t{options_.rekey_sec} * 1000 / 2) {
    shut(CloseReason::error, "the client rekeyed TLS too soon");
    return false;
  }
  last_rekey_ms_ = ws_->now_ms();
  tls_->set_renegotiation_budget(1);
  return true;
}

void Session::on_cstp_record(uint8_t* record, size_t length) {
  pkt::CstpPacket packet;
  pkt::CstpError error = pkt::parse_cstp({record, length}, length, &packet);
  last_tcp_rx_ms_ = ws_->now_ms();
  if (error == pkt::CstpError::kUnknownType) {
    counters_->dropsMalformed.add();
    return;
  }
  if (error != pkt::CstpError::kNone || packet.size != length) {
    return shut(CloseReason::error, "the client sent a broken CSTP header");
  }
  on_packet(Channel::tls, packet);
}

// false: the session ended.
bool Session::on_packet(Channel channel, const pkt::CstpPacket& packet) {
  switch (packet.type) {
    case pkt::PacketType::kData:
      inject(channel, packet.payload);
      break;
    case pkt::PacketType::kDpdOut:
      on_dpd_request(channel, packet.payload);
      break;
    case pkt::PacketType::kDpdResp:
      on_dpd_answer(channel);
      break;
    case pkt::PacketType::kKeepalive:
      break;  // the time of arrival is all that it says
    case pkt::PacketType::kDisconnect:
      on_disconnect(packet.payload);
      break;
    case pkt::PacketType::kCompressed:
      if (!inject_compressed(channel, packet.payload)) {
        shut(CloseReason::error, "the client sent a compressed packet without negotiation");
      }
      break;
    case pkt::PacketType::kTerminate:
      shut(CloseReason::error, "the client sent TERMINATE, which is the server's");
      break;
  }
  return state_ == State::running;
}

void Session::on_disconnect(pkt::ConstView payload) {
  char detail[160];
  CloseReason reason = CloseReason::error;
  if (payload.empty() || payload.u8(0) == kWillReconnect) reason = CloseReason::temporary_disconnect;
  if (!payload.empty() && payload.u8(0) == kUserRequest) reason = CloseReason::user_disconnect;
  char text[97];
  size_t length = 0;
  for (size_t i = 1; i < payload.size() && length + 1 < sizeof text; ++i) {
    uint8_t byte = payload.u8(i);
    text[length++] = byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  text[length] = '\0';
  if (payload.empty()) {
    snprintf(detail, sizeof detail, "DISCONNECT from the client");
  } else {
    snprintf(detail, sizeof detail, "DISCONNECT 0x%02x from the client%s%s", payload.u8(0), length > 0 ? ": " : "", text);
  }
  tls_->close_notify();
  tls_->flush();
  shut(reason, detail);
}

void Session::on_dpd_request(Channel channel, pkt::ConstView payload) {
  // A probe that arrived is evidence that packets of its size do (protocol.md 9.2).
  if (channel == Channel::dtls && payload.size() > data_mtu_ && payload.size() <= options_.max_data_mtu) {
    set_data_mtu(static_cast<uint32_t>(payload.size()));
  }
  send_control(channel, pkt::PacketType::kDpdResp, payload.data(), payload.size());
}

// false: no compression was agreed on for this channel.
bool Session::inject_compressed(Channel channel, pkt::ConstView data) {
  pkt::Compression method = compression_of(channel);
  if (method == pkt::Compression::kNone) return false;
  uint8_t* packet = ws_->inflated.get() + Workspace::kRecordHeadroom;
  size_t length = 0;
  if (!pkt::decompress(method, data, {packet, pkt::kMaxPlainPacket}, &length)) {
    counters_->dropsMalformed.add();
    return true;
  }
  counters_->rxCompressed.add();
  inject(channel, {packet, length});
  return true;
}

void Session::inject(Channel channel, pkt::ConstView packet) {
  if (channel == Channel::tls && udp_usable_ && ws_->now_ms() - udp_attached_ms_ > kSettleMs) set_udp_usable(false);
  pkt::IpPacket ip;
  if (pkt::parse_ip(packet, &ip) != pkt::IpError::kNone) return counters_->dropsMalformed.add();
  if (!source_filter_.allows(packet, ip)) return counters_->dropsSource.add();
  // Above the rate nothing more is read: the sender of TLS waits, and datagrams wait in a short queue (limit_queue),
  // which inner TCP takes better than losses at every full bucket.
  if (!rx_bucket_.take(ip.total_length, ws_->now_ns)) {
    rx_owed_bytes_ += ip.total_length;
    rx_paused_ = true;
    arm_rate(rx_bucket_.wait_ns(ws_->now_ns));
  }
  if (!pkt::is_idle_neutral(ip)) counters_->lastDataMs.set(ws_->now_ms());
  if (options_.offloads.turn_pace) ws_->pace.note_packet();
  counters_->rxPackets.add();
  counters_->rxBytes.add(ip.total_length);
  (channel == Channel::tls ? counters_->rxTlsPackets : counters_->rxDtlsPackets).add();
  configure_coalescer();
  // Bytes in front of a decrypted packet belong to the record's buffer (kRecordHeadroom): scratch for the coalescer.
  auto* start = const_cast<uint8_t*>(packet.data()) - pkt::kVnetHeaderSize;
  auto sink = [this](pkt::ConstView frame) { tun_.write(frame); };
  pkt::Coalesce result = ws_->coalescer.push({start, pkt::kVnetHeaderSize + ip.total_length}, ip, sink);
  if (result == pkt::Coalesce::kAppended) counters_->tunCoalesced.add();
  if (result == pkt::Coalesce::kSuperseding) counters_->acksFiltered.add();
}

void Session::configure_coalescer() {
  if (coalescer_in_use_) return;
  coalescer_in_use_ = true;
  bool on = options_.offloads.tun_coalesce && options_.tun_vnet_hdr;
  ws_->coalescer.configure(on && options_.tun_tso, on && options_.tun_uso, on && options_.offloads.ack_filter);
}

// Ends the session's turn with the coalescer, which holds nothing between turns.
void Session::flush_tun() {
  if (!coalescer_in_use_) return;
  coalescer_in_use_ = false;
  auto sink = [this](pkt::ConstView frame) { tun_.write(frame); };
  ws_->coalescer.flush(sink);
}

}  // namespace ocvpn::dataplane
