#include "dataplane/session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace ocvpn::dataplane {

namespace {

// How long a client gets to read our DISCONNECT and close, milliseconds.
constexpr uint64_t kLingerMs = 2000;

// A bucket holds 50 ms of its rate, but never less than a super-packet: below that, bursts of the inner TCP would be
// cut into pieces that cost more than they smooth.
uint64_t burst_of(uint64_t bytes_per_sec) { return std::max<uint64_t>(bytes_per_sec / 20, 65536); }

}  // namespace

Session::Session(std::unique_ptr<TunnelSetup> setup, Workspace* workspace)
    : id_(setup->id),
      ws_(workspace),
      options_(setup->options),
      counters_(setup->counters),
      tun_(setup->options.tun_fd, setup->options.tun_vnet_hdr, setup->counters),
      tls_(std::move(setup->tls)),
      data_mtu_(setup->options.data_mtu),
      rx_bucket_(options_.rx_bytes_per_sec, burst_of(options_.rx_bytes_per_sec), workspace->now_ns),
      tx_bucket_(options_.tx_bytes_per_sec, burst_of(options_.tx_bytes_per_sec), workspace->now_ns),
      icmp_bucket_(10, 10, workspace->now_ns),  // in packets: as Linux' icmp_ratelimit, ten per second
      liveness_timer_(this, kLiveness),
      retransmit_timer_(this, kRetransmit),
      rate_timer_(this, kRate),
      probe_timer_(this, kProbe),
      rest_timer_(this, kRest),
      opened_ms_(workspace->now_ms()),
      last_tcp_rx_ms_(opened_ms_),
      last_tcp_tx_ms_(opened_ms_),
      last_rekey_ms_(opened_ms_) {
  setup_ = std::move(setup);
  tun_watch_ = {WatchKind::tun, this, -1, 0};
  tcp_watch_ = {WatchKind::tcp, this, -1, 0};
  udp_[0].watch = {WatchKind::udp0, this, -1, 0};
  udp_[1].watch = {WatchKind::udp1, this, -1, 0};
  if (options_.has_client_ipv4) source_filter_.set_ipv4({options_.client_ipv4.data(), 4});
  if (options_.has_client_ipv6) {
    source_filter_.set_ipv6({options_.client_ipv6.address.data(), 16}, options_.client_ipv6.prefix);
  }
  for (UdpChannel& channel : udp_) channel.slot.use_own_records(options_.offloads.own_records);
  dtls_keys_.mode = options_.dtls.mode;
  dtls_keys_.cipher = options_.dtls.ciphers;
  dtls_keys_.master_secret = options_.dtls.master_secret;
  dtls_keys_.session_id = options_.dtls.session_id;
  counters_->lastDataMs.set(opened_ms_);
}

Session::~Session() {
  release_descriptors();
  ws_->timers.cancel(liveness_timer_);
  ws_->timers.cancel(retransmit_timer_);
  ws_->timers.cancel(rate_timer_);
  ws_->timers.cancel(probe_timer_);
  ws_->timers.cancel(rest_timer_);
}

void Session::start() {
  std::unique_ptr<TunnelSetup> setup = std::move(setup_);
  if (!ws_->epoll.add(&tun_watch_, tun_.fd(), 0) || !ws_->epoll.add(&tcp_watch_, tls_->fd(), 0)) {
    return shut(CloseReason::error, "cannot watch the tunnel's descriptors");
  }
  if (options_.dtls.mode == DtlsMode::psk && !tls_->export_dtls_psk(dtls_keys_.psk.data())) {
    return shut(CloseReason::error, "cannot export the DTLS key from the TLS connection");
  }
  limit_send_buffer(tls_->fd());
  if (options_.offloads.stream_room) limit_unsent();
  if (options_.rekey_sec > 0) tls_->set_renegotiation_budget(1);
  if (options_.offloads.own_records) tls_->use_own_records();
  write_response(setup->response);
  if (!finished() && read_head(setup->head)) read_tls_records();
  flush_tun();
  if (finished()) return;
  note_event();
  check_liveness();
  update_interest();
}

void Session::limit_send_buffer(int fd) {
  if (options_.send_buffer_bytes == 0) return;
  int bytes = static_cast<int>(options_.send_buffer_bytes);
  // The kernel takes what is within its own bounds (net.core.wmem_max) and has its default otherwise.
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// What is there is waited for where it may be passed.
void Session::limit_unsent() {
  tls_unsent_bytes_ = stream_room_.unsent_bytes();
  setsockopt(tls_->fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &tls_unsent_bytes_, sizeof tls_unsent_bytes_);
}

void Session::write_response(const std::vector<uint8_t>& response) {
  for (size_t at = 0; at < response.size() && !finished(); at += TlsStream::kMaxPlaintext) {
    tls_write_record(response.data() + at, std::min(TlsStream::kMaxPlaintext, response.size() - at));
  }
  if (!finished()) flush_tls();
}

// The only place where CSTP is a stream: JavaScript does not keep the borders of records.
bool Session::read_head(const std::vector<uint8_t>& head) {
  size_t at = 0;
  while (at < head.size() && state_ == State::running) {
    pkt::ConstView rest(head.data() + at, head.size() - at);
    size_t size = rest.contains(0, pkt::kCstpHeaderSize) ? pkt::kCstpHeaderSize + rest.be16(4) : 0;
    if (size == 0 || size > rest.size() || size > Workspace::kRecordCapacity) {
      shut(CloseReason::error, "bytes after the CONNECT request are not CSTP");
      return false;
    }
    uint8_t* record = ws_->record.get() + Workspace::kRecordHeadroom;
    memcpy(record, rest.data(), size);
    on_cstp_record(record, size);
    at += size;
  }
  return state_ == State::running;
}

void Session::on_event(WatchKind kind, uint32_t events) {
  if (finished()) return;
  if (state_ == State::closing) {
    if (kind == WatchKind::tcp) on_closing_tcp();
    return;
  }
  switch (kind) {
    case WatchKind::tun:
      on_tun(events);
      break;
    case WatchKind::tcp:
      on_tcp(events);
      break;
    case WatchKind::udp0:
    case WatchKind::udp1:
      on_udp(kind == WatchKind::udp0 ? 0 : 1, events);
      break;
    case WatchKind::channel:
      break;
  }
  flush_tun();
  if (state_ == State::running) note_event();
  if (!finished() && tun_.gone()) shut(CloseReason::error, "the tun device was removed");
  update_interest();
}

void Session::terminate(bool disconnect, CloseReason reason) {
  if (state_ != State::running) return;
  if (disconnect) {
    say_goodbye(reason, "terminated by the server");
  } else {
    shut(reason, "dropped by the server");
  }
  update_interest();
}

void Session::shut(CloseReason reason, const char* detail) {
  if (finished()) return;
  if (state_ == State::running) {
    close_reason_ = reason;
    close_detail_ = detail;
  }
  finish();
}

void Session::say_goodbye(CloseReason reason, const char* detail) {
  if (state_ != State::running) return;
  close_reason_ = reason;
  close_detail_ = detail;
  send_control(Channel::tls, pkt::PacketType::kDisconnect, nullptr, 0);
  if (finished()) return;
  tls_->close_notify();
  flush_tun();
  drop_udp(0, true);
  drop_udp(1, true);
  ws_->epoll.remove(&tun_watch_);
  tun_.close_descriptor();
  ws_->timers.cancel(rate_timer_);
  ws_->timers.cancel(retransmit_timer_);
  ws_->timers.cancel(probe_timer_);
  ws_->timers.cancel(rest_timer_);
  state_ = State::closing;
  linger_until_ms_ = ws_->now_ms() + kLingerMs;
  arm_liveness(linger_until_ms_);
  on_closing_tcp();
}

// Waits until the farewell has left and the client has closed: closing with unread input would make the kernel send a
// reset, which can destroy the farewell on its way.
void Session::on_closing_tcp() {
  TlsResult flushed = tls_->flush();
  if (flushed.status == TlsStatus::kError) return finish();
  if (flushed.status == TlsStatus::kOk) shutdown(tls_->fd(), SHUT_WR);
  for (int i = 0; i < kTurnReads; ++i) {
    ssize_t got = recv(tls_->fd(), ws_->record.get(), Workspace::kRecordCapacity, MSG_DONTWAIT);
    if (got > 0) continue;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    return finish();
  }
  ws_->epoll.set(&tcp_watch_, flushed.status == TlsStatus::kOk ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Session::finish() {
  if (finished()) return;
  flush_tun();
  state_ = State::finished;
  release_descriptors();
  counters_->dtlsActive.set(0);
  Event event;
  event.type = EventType::closed;
  event.id = id_;
  event.reason = close_reason_;
  copy_text(event.detail, sizeof event.detail, close_detail_.c_str());
  ws_->events.post(event);
}

void Session::release_descriptors() {
  ws_->epoll.remove(&tun_watch_);
  ws_->epoll.remove(&tcp_watch_);
  for (int i = 0; i < 2; ++i) drop_udp(i, false);
  tun_.close_descriptor();
  tls_.reset();
}

void Session::update_interest() {
  if (state_ != State::running) return;
  if (!held_frames_.empty()) send_held_frames();
  if (finished()) return;
  ws_->epoll.set(&tun_watch_, may_read_tun() ? uint32_t{EPOLLIN} : 0);
  uint32_t tcp = rx_paused_ || sign_asked_ms_ > 0 ? 0 : uint32_t{EPOLLIN};
  if (tls_->pending_output() > 0) tcp |= EPOLLOUT;
  ws_->epoll.set(&tcp_watch_, tcp);
  for (UdpChannel& channel : udp_) {
    uint32_t wanted = rx_paused_ && channel.slot.established() ? 0 : uint32_t{EPOLLIN};
    if (channel.slot.socket().blocked()) wanted |= EPOLLOUT;
    ws_->epoll.set(&channel.watch, wanted);
  }
}

void Session::flush_tls() {
  if (finished()) return;
  size_t before = tls_->pending_output();
  if (before == 0) return;
  TlsResult result = tls_->flush();
  counters_->tlsWrites.add();
  if (result.status == TlsStatus::kError) return shut(CloseReason::error, tls_->error().c_str());
  note_tls_progress(before);
  if (options_.offloads.stream_room) note_stream(before);
}

bool Session::tls_write_record(const uint8_t* record, size_t length) {
  TlsStatus status = tls_->write(record, length);
  if (status == TlsStatus::kError) {
    shut(CloseReason::error, tls_->error().c_str());
    return false;
  }
  last_tcp_tx_ms_ = ws_->now_ms();
  if (!options_.offloads.tls_batch) flush_tls();
  return status == TlsStatus::kOk;
}

// A control packet that a full channel does not take is lost: both sides repeat what matters.
void Session::send_control(Channel channel, pkt::PacketType type, const uint8_t* payload, size_t length) {
  uint8_t header[pkt::kCstpHeaderSize];
  uint8_t* buffer = ws_->tun_frame.get();
  if (channel == Channel::dtls) {
    buffer[0] = static_cast<uint8_t>(type);
    if (length > 0) memmove(buffer + 1, payload, length);
    if (!active().slot.can_send()) return;
    if (!active().slot.write(buffer, length + 1)) return udp_failed(active().slot.failure());
    active().slot.flush();
    last_udp_tx_ms_ = ws_->now_ms();
    return after_udp_send();
  }
  if (length > TlsStream::kMaxPlaintext - sizeof header) return;
  pkt::write_cstp_header({header, sizeof header}, type, length);
  if (length > 0) memmove(buffer + sizeof header, payload, length);
  memcpy(buffer, header, sizeof header);
  if (tls_write_record(buffer, sizeof header + length)) flush_tls();
}

}  // namespace ocvpn::dataplane
