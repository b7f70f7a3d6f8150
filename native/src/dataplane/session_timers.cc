// Liveness of a session (protocol.md 8). One timer per session: packets only note the time, the timer looks at the
// notes when the earliest deadline has come, so nothing is armed per packet.
#include "dataplane/session.h"

#include <algorithm>
#include <cstdio>
#include <limits>

namespace ocvpn::dataplane {

namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
// A TCP peer that takes nothing for this long is given up.
constexpr uint64_t kBlockedMs = 10000;
// The process with the private key gets this long.
constexpr uint64_t kSignMs = 20000;
// Whole DTLS handshake.
constexpr uint64_t kHandshakeMs = 60000;

// A session without events for this long gives its buffers back.
constexpr uint64_t kRestMs = 2000;

constexpr uint64_t seconds(uint32_t count) { return uint64_t{count} * 1000; }

}  // namespace

void Session::on_timer(pkt::Timer& timer) {
  if (finished()) return;
  switch (timer.kind) {
    case kLiveness:
      check_liveness();
      break;
    case kRetransmit:
      on_retransmit();
      break;
    case kRate:
      check_rates();
      break;
    case kProbe:
      on_probe_timer();
      break;
    case kRest:
      check_rest();
      break;
    default:
      break;
  }
  update_interest();
}

// Of an active session one timer in kRestMs, of a resting one none.
void Session::note_event() {
  last_event_ms_ = ws_->now_ms();
  if (!rest_timer_.armed()) ws_->timers.arm(rest_timer_, last_event_ms_ + kRestMs);
}

// Most sessions rest most of the time, and what they keep meanwhile decides how many fit a machine.
void Session::check_rest() {
  if (state_ != State::running) return;
  if (ws_->now_ms() - last_event_ms_ < kRestMs) {
    ws_->timers.arm(rest_timer_, last_event_ms_ + kRestMs);
    return;
  }
  tls_->release_buffers();
  held_frames_.release();
  for (UdpChannel& channel : udp_) channel.slot.release_buffers();
}

void Session::check_liveness() {
  uint64_t now = ws_->now_ms();
  if (state_ == State::closing) {
    if (now >= linger_until_ms_) return finish();
    return arm_liveness(linger_until_ms_);
  }
  uint64_t next = check_limits(now);
  if (state_ == State::running) next = std::min(next, check_dead_peers(now));
  if (state_ == State::running) next = std::min(next, check_keepalive(now));
  if (state_ == State::running) next = std::min(next, check_rekey(now));
  if (state_ != State::running) return;
  ws_->timers.cancel(liveness_timer_);
  if (next != kNever) arm_liveness(std::max(next, now + 10));
}

void Session::arm_liveness(uint64_t deadline_ms) {
  if (liveness_timer_.armed() && liveness_timer_.deadline_ms() <= deadline_ms) return;
  ws_->timers.arm(liveness_timer_, deadline_ms);
}

// Ends of the session that are only a matter of time.
uint64_t Session::check_limits(uint64_t now) {
  uint64_t next = kNever;
  if (options_.session_timeout_sec > 0) {
    uint64_t end = opened_ms_ + seconds(options_.session_timeout_sec);
    if (now >= end) return say_goodbye(CloseReason::session_timeout, "the session's time is over"), kNever;
    next = std::min(next, end);
  }
  if (options_.idle_timeout_sec > 0) {
    uint64_t end = counters_->lastDataMs.get() + seconds(options_.idle_timeout_sec);
    if (now >= end) return say_goodbye(CloseReason::idle_timeout, "no data for the idle timeout"), kNever;
    next = std::min(next, end);
  }
  if (blocked_since_ms_ > 0) {
    uint64_t end = blocked_since_ms_ + kBlockedMs;
    if (now >= end) return shut(CloseReason::error, "the client stopped reading"), kNever;
    next = std::min(next, end);
  }
  if (sign_asked_ms_ > 0) {
    uint64_t end = sign_asked_ms_ + kSignMs;
    if (now >= end) return shut(CloseReason::error, "no signature for the client's TLS rekey"), kNever;
    next = std::min(next, end);
  }
  UdpChannel& other = pending();
  if (other.slot.state() == DtlsSlot::State::handshake) {
    uint64_t end = other.slot.started_ms() + kHandshakeMs;
    if (now >= end) {
      handshake_failed(1 - active_index_, "DTLS handshake timed out");
    } else {
      next = std::min(next, end);
    }
  }
  return next;
}

uint64_t Session::check_dead_peers(uint64_t now) {
  if (options_.dpd_sec == 0) return kNever;
  uint64_t ask = 2 * seconds(options_.dpd_sec);
  uint64_t dead = 3 * seconds(options_.dpd_sec);
  uint64_t repeat = seconds(options_.dpd_sec) / 2;
  uint64_t tcp_silent = now - last_tcp_rx_ms_;
  if (tcp_silent > dead) return shut(CloseReason::dpd_timeout, "no answer to DPD over TLS"), kNever;
  if (tcp_silent >= ask && now - last_tcp_dpd_ms_ >= repeat) {
    last_tcp_dpd_ms_ = now;
    send_control(Channel::tls, pkt::PacketType::kDpdOut, nullptr, 0);
  }
  uint64_t next = tcp_silent >= ask ? std::min(now + repeat, last_tcp_rx_ms_ + dead + 1) : last_tcp_rx_ms_ + ask;
  if (state_ != State::running || !udp_usable_) return next;
  uint64_t udp_silent = now - last_udp_rx_ms_;
  if (udp_silent > dead) {
    set_udp_usable(false);  // the association stays: an authentic packet brings it back
    return next;
  }
  if (udp_silent >= ask && now - last_udp_dpd_ms_ >= repeat) {
    last_udp_dpd_ms_ = now;
    // As long as the largest packet: a path that lost large packets only must not look alive.
    uint8_t* filler = ws_->record.get();
    size_t length = std::min<size_t>(data_mtu_, Workspace::kRecordCapacity - pkt::kDtlsTypeSize - 256);
    std::fill(filler, filler + length, uint8_t{0});
    send_control(Channel::dtls, pkt::PacketType::kDpdOut, filler, length);
  }
  uint64_t udp_next = udp_silent >= ask ? std::min(now + repeat, last_udp_rx_ms_ + dead + 1) : last_udp_rx_ms_ + ask;
  return std::min(next, udp_next);
}

// Keeps NAT mappings and firewall states when we had nothing to send.
uint64_t Session::check_keepalive(uint64_t now) {
  if (options_.keepalive_sec == 0) return kNever;
  uint64_t period = seconds(options_.keepalive_sec);
  if (now - last_tcp_tx_ms_ >= period) send_control(Channel::tls, pkt::PacketType::kKeepalive, nullptr, 0);
  if (state_ != State::running) return kNever;
  uint64_t next = last_tcp_tx_ms_ + period;
  if (!udp_usable_) return next;
  if (now - last_udp_tx_ms_ >= period) send_control(Channel::dtls, pkt::PacketType::kKeepalive, nullptr, 0);
  return std::min(next, last_udp_tx_ms_ + period);
}

// TLS 1.3 only: our own KeyUpdate. Older versions and DTLS are rekeyed by the client (protocol.md 11).
uint64_t Session::check_rekey(uint64_t now) {
  if (options_.rekey_sec == 0 || !tls_->is_tls13()) return kNever;
  uint64_t period = seconds(options_.rekey_sec);
  if (now - last_rekey_ms_ >= period) {
    tls_->request_key_update();
    last_rekey_ms_ = now;
  }
  return last_rekey_ms_ + period;
}

// Resumes what the rate limits paused.
void Session::check_rates() {
  if (state_ != State::running) return;
  if (rx_owed_bytes_ > 0 && rx_bucket_.take(rx_owed_bytes_, ws_->now_ns)) rx_owed_bytes_ = 0;
  uint64_t rx_wait = rx_paused_ ? rx_bucket_.wait_ns(ws_->now_ns) : 0;
  uint64_t tx_wait = tx_paused_ ? tx_bucket_.wait_ns(ws_->now_ns) : 0;
  rx_paused_ = rx_wait > 0;
  tx_paused_ = tx_wait > 0;
  if (rx_paused_) arm_rate(rx_wait);
  if (tx_paused_) arm_rate(tx_wait);
}

void Session::arm_rate(uint64_t wait_ns) {
  uint64_t deadline = ws_->now_ms() + wait_ns / 1000000 + 1;
  if (rate_timer_.armed() && rate_timer_.deadline_ms() <= deadline) return;
  ws_->timers.arm(rate_timer_, deadline);
}

// After a flush: a socket that takes nothing at all is blocked, from its first refusal on.
void Session::note_tls_progress(size_t before) {
  size_t left = tls_->pending_output();
  if (left == 0) {
    blocked_since_ms_ = 0;
    return;
  }
  if (blocked_since_ms_ > 0 && left >= before) return;
  blocked_since_ms_ = ws_->now_ms();
  arm_liveness(blocked_since_ms_ + kBlockedMs);
}

}  // namespace ocvpn::dataplane
