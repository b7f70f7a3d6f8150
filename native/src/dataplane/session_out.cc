// Tun to client: one read may bring a super-packet of 64 KiB; every segment of it becomes one record.
#include "dataplane/session.h"

#include <algorithm>

#include "pkt/icmp_error.h"

namespace ocvpn::dataplane {

namespace {

// Without a packet for the client: longer than within a burst, shorter than between two packets of a conversation.
constexpr uint64_t kSilenceNs = 1000000;

// Small packets that may go first in so long: they are neither to fill the client's socket nor to use up its rate.
constexpr int kMayPass = 8;
constexpr uint64_t kPassPeriodNs = 10000000;

// Bytes that may wait for any rate: two super-packets.
constexpr size_t kLeastRateQueue = 128 * 1024;

// A client that took nothing for so long gets no more work: the tun's queue fills, and the kernel drops.
constexpr uint64_t kStalledMs = 1000;

// A fast line takes more within this time; then what has come meanwhile is read at once, which costs less.
constexpr uint64_t kShortBlockNs = 1000000;

}  // namespace

// protocol.md 8: UDP while it is active, else TCP; and TCP when nothing came over UDP for switch-to-tcp-timeout.
Session::Channel Session::data_channel() const {
  if (!udp_usable_ || !active().slot.can_send()) return Channel::tls;
  uint64_t limit_ms = uint64_t{options_.switch_to_tcp_sec} * 1000;
  if (limit_ms > 0 && ws_->now_ms() - last_udp_rx_ms_ > limit_ms) return Channel::tls;
  return Channel::dtls;
}

bool Session::channel_takes() const {
  if (state_ != State::running) return false;
  if (data_channel() == Channel::dtls) return !active().slot.socket().blocked();
  return blocked_since_ms_ == 0 && !tls_->renegotiating();
}

// TCP takes no more for a while, and what comes can be kept.
bool Session::stream_waits() const {
  return state_ == State::running && stream_blocked_ns_ != 0 && ws_->now_ns - stream_blocked_ns_ >= kShortBlockNs &&
         ws_->now_ms() - blocked_since_ms_ < kStalledMs && data_channel() == Channel::tls && !tls_->renegotiating();
}

// After a flush of what there was `before`.
void Session::note_stream(size_t before) {
  const size_t left = tls_->pending_output();
  stream_room_.note(before - left, left == 0, ws_->now_ns);
  if (stream_room_.unsent_bytes() != tls_unsent_bytes_) limit_unsent();
  if (left == 0) {
    stream_blocked_ns_ = 0;
  } else if (left < before || stream_blocked_ns_ == 0) {
    stream_blocked_ns_ = ws_->now_ns;
    look_later();
  }
}

void Session::look_later() {
  if (look_asked_) return;
  look_asked_ = true;
  look_ns_ = stream_blocked_ns_ + kShortBlockNs;
  ws_->holds.push(id_, look_ns_);
}

bool Session::may_send() const { return channel_takes() && !tx_paused_; }

// While bursts are spread it is read when a hold begins and ends, but while the rate is used up or TCP takes no more all
// the time.
bool Session::may_read_tun() {
  if (stream_waits()) return held_frames_.room() != nullptr || drops_next(true);
  return channel_takes() && (tx_paused_ || (!tun_held_ && held_frames_.empty()));
}

void Session::on_tun(uint32_t events) {
  // Reported even while reading is paused, when the device was removed.
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return shut(CloseReason::error, "the tun device was removed");
  read_tun();
  flush_sent();
}

void Session::read_tun() {
  size_t bytes = 0;
  // After a silence one packet is most likely all: epoll says whether there is more, and costs no read that finds nothing.
  const int reads = ws_->now_ns - tun_read_ns_ > kSilenceNs ? 1 : kTurnReads;
  tun_read_ns_ = ws_->now_ns;
  for (int i = 0; i < reads && bytes < kTurnBytes; ++i) {
    const bool stream = stream_waits();
    if (!stream && !channel_takes()) break;
    size_t length = 0;
    const bool waits = stream || tun_held_ || tx_paused_ || !held_frames_.empty();
    uint8_t* room = waits ? held_frames_.room() : ws_->tun_frame.get();
    // More than the limit is dropped, so that the inner TCP learns of it before all its window waits.
    const bool drops = waits && drops_next(room == nullptr);
    if (drops) room = ws_->tun_frame.get();
    if (room == nullptr || tun_.read(room, &length) != TunPort::Status::ok) break;
    bytes += length;
    const pkt::MutView frame(room, length);
    if (!waits || may_pass(frame)) {
      if (!send_paced(frame) && !tx_paused_) break;
    } else if (drops) {
      (tx_paused_ ? counters_->dropsRateLimit : counters_->dropsStreamFull).add();
    } else {
      held_frames_.keep(length);
    }
  }
}

// For the rate the queue is as long as the UDP socket's in the other direction (session_udp.cc).
bool Session::drops_next(bool full) {
  const size_t waiting = held_frames_.bytes();
  if (tx_paused_) return full || waiting > std::max<size_t>(kLeastRateQueue, options_.tx_bytes_per_sec / 4);
  return stream_waits() && stream_room_.drops(waiting, full, ws_->now_ns);
}

// A packet of another flow than those that are held back.
bool Session::may_pass(pkt::ConstView frame) {
  if (ws_->now_ns - passing_since_ns_ > kPassPeriodNs) {
    passing_since_ns_ = ws_->now_ns;
    passed_ = 0;
  }
  if (passed_ == kMayPass || !held_frames_.may_pass(frame)) return false;
  ++passed_;
  return true;
}

// false: nothing more for this turn.
bool Session::send_paced(pkt::MutView frame) {
  if (!send_frame(frame)) return false;
  if (!tun_held_) hold_tun();
  return true;
}

void Session::flush_sent() {
  if (finished()) return;
  if (udp_dirty_) {
    udp_dirty_ = false;
    active().slot.flush();
    after_udp_send();
  }
  // While TCP takes no more, epoll says when it does.
  if (!finished() && blocked_since_ms_ == 0) flush_tls();
}

void Session::hold_tun() {
  const uint64_t wait_ns = options_.offloads.send_pace ? send_pace_.wait_ns(ws_->now_ns) : 0;
  tun_held_ = wait_ns > 0;
  if (!tun_held_) return;
  hold_ends_ns_ = ws_->now_ns + wait_ns;
  ws_->holds.push(id_, hold_ends_ns_);
}

void Session::end_hold() {
  if (state_ != State::running) return;
  if (look_asked_ && look_ns_ <= ws_->now_ns) {
    look_asked_ = false;
    if (stream_blocked_ns_ != 0 && ws_->now_ns - stream_blocked_ns_ < kShortBlockNs) look_later();
    update_interest();
  }
  if (!tun_held_ || hold_ends_ns_ > ws_->now_ns || finished()) return;
  send_pace_.end_hold(hold_ends_ns_, ws_->now_ns);
  hold_tun();
  // What came meanwhile may pass, too.
  if (tun_held_ || !held_frames_.empty()) read_tun();
  flush_sent();
  update_interest();
}

// What was read meanwhile, as soon as the channel takes it.
void Session::send_held_frames() {
  while (!tun_held_ && !held_frames_.empty() && may_send()) send_paced(held_frames_.take());
  flush_sent();
}

// false: stop reading for this turn.
bool Session::send_frame(pkt::MutView frame) {
  pkt::Segmenter segmenter;
  pkt::SegmentResult result = segmenter.begin(frame, data_mtu_);
  if (result == pkt::SegmentResult::kTooBig) {
    counters_->dropsTooBig.add();
    answer_too_big(segmenter);
    return true;
  }
  if (result != pkt::SegmentResult::kOk) {
    counters_->dropsMalformed.add();
    return true;
  }
  if (segmenter.count() > 1) counters_->tunSuperPackets.add();
  if (!pkt::is_idle_neutral(segmenter.ip())) counters_->lastDataMs.set(ws_->now_ms());
  Channel channel = data_channel();
  size_t total = 0;
  pkt::MutView packet;
  while (!finished() && segmenter.next(&packet)) {
    total += packet.size();
    // The association can end in the middle; the rest goes over TCP.
    if (channel == Channel::dtls && !active().slot.can_send()) channel = Channel::tls;
    send_packet(channel, packet);
  }
  if (finished()) return false;
  tx_bucket_.owe(total, ws_->now_ns);
  uint64_t wait_ns = tx_bucket_.wait_ns(ws_->now_ns);
  if (wait_ns > 0) {
    tx_paused_ = true;
    arm_rate(wait_ns);
  }
  if (channel == Channel::tls && blocked_since_ms_ == 0 && tls_->pending_output() >= stream_room_.batch()) flush_tls();
  return !finished() && wait_ns == 0;
}

void Session::send_packet(Channel channel, pkt::MutView packet) {
  const size_t size = packet.size();
  const pkt::PacketType type = compress_packet(channel, &packet);
  if (channel == Channel::dtls) {
    uint8_t* record = packet.data() - pkt::kDtlsTypeSize;
    record[0] = static_cast<uint8_t>(type);
    if (!active().slot.write(record, packet.size() + pkt::kDtlsTypeSize)) return udp_failed(active().slot.failure());
    udp_dirty_ = true;
    send_pace_.note_sent(size, ws_->now_ns);
    last_udp_tx_ms_ = ws_->now_ms();
    counters_->txDtlsPackets.add();
  } else {
    uint8_t* record = packet.data() - pkt::kCstpHeaderSize;
    pkt::write_cstp_header({record, pkt::kCstpHeaderSize}, type, packet.size());
    if (!tls_write_record(record, packet.size() + pkt::kCstpHeaderSize)) return;
    counters_->txTlsPackets.add();
  }
  if (type == pkt::PacketType::kCompressed) {
    counters_->txCompressed.add();
    counters_->txCompressionSaved.add(size - packet.size());
  }
  if (options_.offloads.turn_pace) ws_->pace.note_packet();
  counters_->txPackets.add();
  counters_->txBytes.add(size);
}

// What is sent for a packet: the packet, or its compressed form if there is one that is shorter (protocol.md 10).
pkt::PacketType Session::compress_packet(Channel channel, pkt::MutView* packet) {
  pkt::Compression method = compression_of(channel);
  if (method == pkt::Compression::kNone || packet->size() < options_.no_compress_limit) return pkt::PacketType::kData;
  pkt::MutView room(ws_->compressed.get() + pkt::kCstpHeaderSize, std::min(packet->size() - 1, pkt::kMaxPlainPacket));
  size_t length = pkt::compress(method, *packet, room);
  if (length == 0) return pkt::PacketType::kData;
  *packet = room.sub(0, length);
  return pkt::PacketType::kCompressed;
}

// The kernel fragments or refuses by the device's MTU; this is for what was in the queue while the MTU changed, and for
// super-packets that cannot be cut smaller.
void Session::answer_too_big(const pkt::Segmenter& segmenter) {
  if (!icmp_bucket_.take(1, ws_->now_ns)) return;
  bool v4 = segmenter.ip().version == 4;
  pkt::ConstView gateway;
  if (v4 && options_.has_local_ipv4) gateway = {options_.local_ipv4.data(), 4};
  if (!v4 && options_.has_local_ipv6) gateway = {options_.local_ipv6.data(), 16};
  uint8_t frame[pkt::kVnetHeaderSize + pkt::kIcmpV6ErrorMax] = {};
  pkt::IcmpError error = pkt::build_packet_too_big(segmenter.packet(), segmenter.ip(), data_mtu_, gateway,
                                                   {frame + pkt::kVnetHeaderSize, pkt::kIcmpV6ErrorMax});
  if (error.refusal == pkt::IcmpRefusal::kNone) tun_.write({frame, pkt::kVnetHeaderSize + error.length});
}

}  // namespace ocvpn::dataplane
