// The path MTU of the UDP channel (protocol.md 9.2): what the kernel learns, what the client's probes show, and with
// try-mtu-discovery a search of our own (after RFC 8899) with DPD requests as probes.
#include <algorithm>

#include "dataplane/session.h"

namespace ocvpn::dataplane {

namespace {

// RFC 8200 5 for a tunnel that carries IPv6; otherwise the smallest that openconnect goes down to.
constexpr uint32_t kMinIpv6Mtu = 1280;
constexpr uint32_t kMinIpv4Mtu = 576;
// How long the answer to a probe may take, and how often it is asked for (RFC 8899 5.1.1 and 5.1.2 say 15 s and 3; the
// client is up and answers at once).
constexpr uint64_t kProbeMs = 1500;
constexpr uint32_t kMaxProbes = 3;

}  // namespace

uint32_t Session::min_data_mtu() const { return options_.has_client_ipv6 ? kMinIpv6Mtu : kMinIpv4Mtu; }

// EMSGSIZE: the kernel knows that the path takes less; a probe on its way has its answer.
void Session::on_too_big() {
  const DtlsSlot& slot = active().slot;
  const uint32_t overhead = slot.socket().header_bytes() + slot.record_overhead() + pkt::kDtlsTypeSize;
  const uint32_t path = slot.socket().path_mtu();
  const uint32_t probe = probing_ ? mtu_search_.candidate() : 0;
  const uint32_t mtu = std::max(path > overhead ? path - overhead : data_mtu_ * 2 / 3, min_data_mtu());
  mtu_search_.limit(mtu);
  if (mtu < data_mtu_) set_data_mtu(mtu);
  if (!probing_) return;
  probing_ = false;
  if (mtu_search_.candidate() == probe) mtu_search_.lost();  // refused although the path should take it
  adopt_search_result();
  continue_mtu_search();
}

void Session::set_data_mtu(uint32_t mtu) {
  data_mtu_ = mtu;
  Event event;
  event.type = EventType::mtu;
  event.id = id_;
  event.mtu = mtu;
  ws_->events.post(event);
}

void Session::begin_mtu_search() {
  if (!options_.mtu_discovery || options_.dpd_sec == 0) return;
  mtu_search_.start(data_mtu_, min_data_mtu(), options_.max_data_mtu);
  continue_mtu_search();
}

void Session::continue_mtu_search() {
  probes_ = 0;
  send_mtu_probe();
}

void Session::send_mtu_probe() {
  // A probe that the kernel refuses is answered at once, in on_too_big(), by the next one.
  uint32_t size = mtu_search_.candidate();
  if (size == 0 || !active().slot.can_send() || state_ != State::running) {
    probing_ = false;
    ws_->timers.cancel(probe_timer_);
    return;
  }
  probes_ += 1;
  probing_ = true;
  ws_->timers.arm(probe_timer_, ws_->now_ms() + static_cast<uint64_t>(ws_->clock.to_loop_ms(kProbeMs)));
  uint8_t* filler = ws_->record.get();
  std::fill(filler, filler + size, uint8_t{0});
  send_control(Channel::dtls, pkt::PacketType::kDpdOut, filler, size);
}

void Session::on_probe_timer() {
  if (!probing_) return;
  if (probes_ < kMaxProbes) return send_mtu_probe();
  probing_ = false;
  mtu_search_.lost();
  adopt_search_result();
  continue_mtu_search();
}

// openconnect answers a DPD request without its payload, so any answer over DTLS is one to the probe on its way.
void Session::on_dpd_answer(Channel channel) {
  if (channel != Channel::dtls || !probing_) return;
  probing_ = false;
  mtu_search_.answered();
  adopt_search_result();
  continue_mtu_search();
}

// A size that does not get through is left at once, a larger one is used when it was seen to.
void Session::adopt_search_result() {
  uint32_t good = mtu_search_.usable();
  if (good != data_mtu_) set_data_mtu(good);
}

}  // namespace ocvpn::dataplane
