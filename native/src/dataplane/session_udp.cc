// The DTLS associations of a session: hand-over of sockets, handshakes beside the running association, roaming.
#include "dataplane/session.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace ocvpn::dataplane {

namespace {

// UDP payload of handshake datagrams: fits every path that IPv6 allows.
constexpr uint32_t kFlightMtu = 1200;
// Between two hand-overs or restarts (protocol.md 13).
constexpr uint64_t kHandoverGapMs = 3000;

}  // namespace

void Session::attach_udp(int fd, bool hello, const uint8_t* datagram, size_t length) {
  if (state_ != State::running || options_.dtls.mode == DtlsMode::none) {
    close(fd);
    return;
  }
  if (hello) {
    start_handshake(fd, false, datagram, length);
  } else {
    try_roam(fd, datagram, length);
  }
  flush_tun();
  update_interest();
}

UdpSocket Session::adopt_socket(int fd) {
  UdpSocket socket(fd, options_.offloads.udp_segment, options_.offloads.udp_gro);
  // 250 ms of the rate: what a full queue delays DPD by.
  if (options_.rx_bytes_per_sec > 0) socket.limit_queue(std::max<uint64_t>(options_.rx_bytes_per_sec / 4, 32768));
  socket.set_mtu_discovery(options_.mtu_discovery);
  limit_send_buffer(fd);
  return socket;
}

// `shares`: `fd` is a copy of the running association's socket, which goes on reading for both.
void Session::start_handshake(int fd, bool shares, const uint8_t* datagram, size_t length) {
  // Only main's own limit (one hand-over in 3 s, protocol.md 13) keeps replayed hellos from displacing a handshake.
  drop_udp(1 - active_index_, false);
  pending_shares_ = shares;
  SSL_CTX* context = ws_->dtls_contexts->get(options_.dtls.mode, options_.dtls.ciphers);
  UdpSocket socket = adopt_socket(fd);
  UdpChannel& channel = pending();
  udp_attached_ms_ = ws_->now_ms();
  const auto max_plaintext = static_cast<uint32_t>(pkt::kDtlsTypeSize + std::max(data_mtu_, options_.max_data_mtu));
  if (context == nullptr ||
      !channel.slot.start(context, &dtls_keys_, std::move(socket), &ws_->udp_batch, counters_,
                          std::min(kFlightMtu, data_mtu_), max_plaintext, options_.rekey_sec > 0, ws_->now_ms()) ||
      (!shares && !ws_->epoll.add(&channel.watch, fd, EPOLLIN))) {
    return handshake_failed(1 - active_index_, "cannot start DTLS: ciphers refused, or no memory");
  }
  continue_handshake(1 - active_index_, datagram, length);
  check_liveness();
}

void Session::continue_handshake(int index, const uint8_t* datagram, size_t length) {
  DtlsSlot& slot = udp_[index].slot;
  slot.set_input(datagram, length);
  DtlsSlot::Progress progress = slot.handshake();
  if (progress == DtlsSlot::Progress::done) {
    promote_pending();
  } else if (progress == DtlsSlot::Progress::failed) {
    std::string reason = std::string("DTLS handshake failed: ") + slot.failure();
    handshake_failed(index, reason.c_str());
  }
  arm_retransmit();
}

// Only now does the new association take over: the client has proved that it has the key.
void Session::promote_pending() {
  drop_udp(active_index_, false);
  active_index_ = 1 - active_index_;
  UdpChannel& channel = active();
  if (pending_shares_) ws_->epoll.add(&channel.watch, channel.slot.socket().fd(), EPOLLIN);
  pending_shares_ = false;
  channel.window = ReplayWindow();
  channel.handshakes = channel.slot.handshakes();
  channel.last_handshake_ms = ws_->now_ms();
  last_udp_rx_ms_ = last_udp_tx_ms_ = ws_->now_ms();
  last_udp_dpd_ms_ = 0;
  set_udp_usable(true);
  Event event;
  event.type = EventType::dtls_up;
  event.id = id_;
  event.milliseconds = static_cast<uint32_t>(ws_->now_ms() - channel.slot.started_ms());
  copy_text(event.version, sizeof event.version, SSL_get_version(channel.slot.ssl()));
  copy_text(event.cipher, sizeof event.cipher, SSL_get_cipher_name(channel.slot.ssl()));
  ws_->events.post(event);
  begin_mtu_search();
  check_liveness();
}

void Session::on_udp(int index, uint32_t events) {
  if ((events & EPOLLOUT) != 0) udp_[index].slot.socket().flush_backlog(counters_);
  size_t bytes = 0;
  while (state_ == State::running && bytes < kTurnBytes && udp_[index].slot.socket().is_open()) {
    int count = ws_->udp_receiver.receive(udp_[index].slot.socket(), counters_);
    // An ICMP error that reports nobody at the other end; the socket goes on, and the client may come back.
    if (count < 0 && errno == ECONNREFUSED && index == active_index_) set_udp_usable(false);
    if (count <= 0) break;
    for (int i = 0; i < count; ++i) {
      const UdpReceived& burst = ws_->udp_receiver.received(i);
      bytes += burst.length;
      for (size_t at = 0; at < burst.length && state_ == State::running; at += burst.segment) {
        feed_datagram(index, burst.data + at, std::min(burst.segment, burst.length - at));
      }
    }
    if (rx_paused_ || count < static_cast<int>(UdpReceiver::kSlots)) break;  // most likely all that there was
  }
}

void Session::feed_datagram(int index, const uint8_t* datagram, size_t length) {
  if (length == 0) return;
  switch (udp_[index].slot.state()) {
    case DtlsSlot::State::handshake:
      return continue_handshake(index, datagram, length);
    case DtlsSlot::State::established:
      if (offer_to_pending(datagram, length)) return;
      active().slot.set_input(datagram, length);
      read_active(datagram, length);
      return;
    case DtlsSlot::State::empty:
      return;  // the association ended earlier in this burst
  }
}

// A client that starts DTLS again from the same address reaches the running association's socket. Its hello begins a
// handshake beside the association, on a copy of the descriptor, and the flights that follow are told by epoch and
// type; all else stays with the association. true: the datagram was the pending handshake's.
bool Session::offer_to_pending(const uint8_t* datagram, size_t length) {
  constexpr auto kApplicationData = static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData);
  pkt::DtlsRecordHeader header;
  if (datagram[0] == kApplicationData || !pkt::peek_dtls_record({datagram, length}, &header)) return false;
  bool handshaking = pending_shares_ && pending().slot.state() == DtlsSlot::State::handshake;
  if (pkt::is_dtls_client_hello({datagram, length}) && ws_->now_ms() - udp_attached_ms_ >= kHandoverGapMs) {
    int copy = fcntl(active().slot.socket().fd(), F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) start_handshake(copy, true, datagram, length);
    return true;
  }
  if (!handshaking || header.epoch > 1) return false;
  continue_handshake(1 - active_index_, datagram, length);
  return true;
}

// Consumes the datagram that was set as input. false: nothing in it was authentic.
bool Session::read_active(const uint8_t* datagram, size_t length) {
  UdpChannel& channel = active();
  pkt::DtlsRecordHeader header;
  bool known = pkt::peek_dtls_record({datagram, length}, &header);
  bool authentic = false;
  do {
    uint8_t* record = record_room(pkt::kDtlsTypeSize);
    int size = channel.slot.read(record, Workspace::kRecordCapacity);
    if (size < 0) {
      udp_failed(channel.slot.failure());
      return authentic;
    }
    if (size == 0) break;
    if (known && !authentic) channel.window.accept(header.epoch, header.sequence);
    authentic = true;
    on_dtls_record(record, static_cast<size_t>(size));
  } while (state_ == State::running && channel.slot.established() && channel.slot.has_more());
  if (state_ != State::running || !channel.slot.established()) return authentic;
  bool data = known && header.content_type == static_cast<uint8_t>(pkt::DtlsContentType::kApplicationData);
  if (!authentic && data && channel.window.is_replay(header.epoch, header.sequence)) {
    counters_->dropsReplay.add();
  } else if (!authentic && (data || !known)) {
    counters_->dropsMalformed.add();
  }
  if (!authentic) after_handshake_record();
  return authentic;
}

void Session::on_dtls_record(const uint8_t* record, size_t length) {
  last_udp_rx_ms_ = ws_->now_ms();
  set_udp_usable(true);
  pkt::CstpPacket packet;
  if (pkt::parse_dtls_payload({record, length}, &packet) != pkt::CstpError::kNone) {
    counters_->dropsMalformed.add();
    return;
  }
  on_packet(Channel::dtls, packet);
}

// A renegotiation has begun, goes on or is over: its flight leaves, its clock runs, its rate is limited.
void Session::after_handshake_record() {
  UdpChannel& channel = active();
  channel.slot.flush();
  arm_retransmit();
  if (channel.slot.handshakes() == channel.handshakes) return;
  channel.handshakes = channel.slot.handshakes();
  uint64_t period_ms = uint64_t{options_.rekey_sec} * 1000;
  if (ws_->now_ms() - channel.last_handshake_ms < period_ms / 2) {
    return udp_failed("the client rekeyed DTLS too soon");
  }
  channel.last_handshake_ms = ws_->now_ms();
}

// The client's NAT mapping may have changed: the record decides whether the new address is the client's.
void Session::try_roam(int fd, const uint8_t* datagram, size_t length) {
  UdpChannel& channel = active();
  Event event;
  event.type = EventType::roamed;
  event.id = id_;
  UdpSocket socket = adopt_socket(fd);
  if (channel.slot.established()) {
    // Replies to what the record asks go to the new address already, so the socket is exchanged first and taken back
    // if the record is not authentic.
    UdpSocket old = channel.slot.replace_socket(std::move(socket));
    channel.slot.set_input(datagram, length);
    event.accepted = read_active(datagram, length);
    if (event.accepted && channel.slot.established()) {
      ws_->epoll.remove(&channel.watch);
      ws_->epoll.add(&channel.watch, fd, EPOLLIN);
      udp_attached_ms_ = ws_->now_ms();
    } else if (channel.slot.established()) {
      socket = channel.slot.replace_socket(std::move(old));
    }
  }
  if (!finished()) ws_->events.post(event);
}

void Session::drop_udp(int index, bool notify) {
  if (index != active_index_) pending_shares_ = false;
  ws_->epoll.remove(&udp_[index].watch);
  udp_[index].slot.reset(notify);
  if (index == active_index_) set_udp_usable(false);
}

// The active association ended: alert, close_notify, fatal error.
void Session::udp_failed(const char* detail) {
  std::string kept = detail;  // often the slot's own text
  drop_udp(active_index_, false);
  report_dtls_down(kept.c_str());
}

void Session::handshake_failed(int index, const char* detail) {
  drop_udp(index, false);
  // Beside a running association it was a stray or replayed hello: not worth an event.
  if (!active().slot.established()) report_dtls_down(detail);
}

void Session::report_dtls_down(const char* detail) {
  Event event;
  event.type = EventType::dtls_down;
  event.id = id_;
  copy_text(event.detail, sizeof event.detail, detail);
  ws_->events.post(event);
}

void Session::set_udp_usable(bool usable) {
  if (udp_usable_ == usable) return;
  udp_usable_ = usable;
  counters_->dtlsActive.set(usable ? 1 : 0);
}

void Session::after_udp_send() {
  UdpSocket& socket = active().slot.socket();
  if (socket.take_refused()) set_udp_usable(false);
  if (socket.take_too_big()) on_too_big();
}

void Session::arm_retransmit() {
  int64_t soonest = -1;
  for (UdpChannel& channel : udp_) {
    int64_t left = channel.slot.retransmit_in_ms();
    if (left >= 0 && (soonest < 0 || left < soonest)) soonest = left;
  }
  if (soonest < 0) {
    ws_->timers.cancel(retransmit_timer_);
  } else {
    ws_->timers.arm(retransmit_timer_, ws_->now_ms() + static_cast<uint64_t>(ws_->clock.to_loop_ms(soonest)));
  }
}

void Session::on_retransmit() {
  for (int i = 0; i < 2; ++i) {
    DtlsSlot& slot = udp_[i].slot;
    if (slot.state() == DtlsSlot::State::empty || slot.retransmit_in_ms() != 0) continue;
    if (slot.on_retransmit_timer() != DtlsSlot::Progress::failed) continue;
    if (slot.established()) {
      udp_failed("the client stopped in the middle of a DTLS rekey");
    } else {
      handshake_failed(i, "the client stopped in the middle of the DTLS handshake");
    }
  }
  arm_retransmit();
}

}  // namespace ocvpn::dataplane
