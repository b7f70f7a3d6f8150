#include "pump.h"

#include <poll.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "pkt/cstp.h"
#include "pkt/ip_packet.h"

namespace ocvpn::bench {

namespace {

/** Frames or receives in a row before the other direction gets its turn. */
constexpr int kBudget = 16;

void count_fill(Transport::Fill filled, bool* more, bool* end) {
  *more = filled == Transport::Fill::kData;
  *end = filled == Transport::Fill::kEnd;
}

}  // namespace

io::Tun open_device(const std::string& name) {
  io::TunRequest request;
  request.name = name;
  request.vnet_hdr = request.tso = request.uso = true;
  auto opened = io::open_tun(request);
  if (!opened.ok())
    throw std::runtime_error("tun device " + name + ": " + opened.error().syscall + ": " +
                             std::strerror(opened.error().code));
  if (!opened.value().vnet_hdr) throw std::runtime_error("the kernel grants no IFF_VNET_HDR");
  return std::move(opened.value());
}

Pump::Pump(Session* session, io::Tun tun)
    : session_(session),
      tun_(std::move(tun)),
      coalescer_(tun_.tso, tun_.uso),
      reader_(session, &coalescer_),
      frame_(new uint8_t[pkt::kSegmentHeadroom + pkt::kMaxTunFrame]) {}

void Pump::run(int stop_fd) {
  const bool dtls = session_->dtls != nullptr;
  pollfd entries[4] = {{stop_fd, POLLIN, 0},
                       {tun_.fd.get(), POLLIN, 0},
                       {session_->stream->fd(), POLLIN, 0},
                       {dtls ? session_->datagrams->fd() : -1, POLLIN, 0}};
  for (;;) {
    entries[1].events = stream_blocked() ? 0 : POLLIN;
    entries[2].events = stream_blocked() ? POLLIN | POLLOUT : POLLIN;
    if (poll(entries, 4, -1) < 0) {
      if (errno == EINTR) continue;
      throw std::runtime_error("poll failed");
    }
    if (entries[0].revents) return;
    if (entries[2].revents & POLLOUT) session_->stream->flush();
    if ((entries[2].revents & ~POLLOUT) && !from_stream()) return;
    if (entries[3].revents && !from_datagrams()) return;
    if (entries[1].revents && !stream_blocked()) from_tun();
  }
}

void Pump::from_tun() {
  for (int i = 0; i < kBudget && read_tun(); ++i) {
    // A batch that goes on over frames: flushed below, or by the transport when it is full.
  }
  if (session_->dtls) session_->datagrams->flush();
  else session_->stream->flush();
}

bool Pump::read_tun() {
  uint8_t* start = frame_.get() + pkt::kSegmentHeadroom;
  const ssize_t got = read(tun_.fd.get(), start, pkt::kMaxTunFrame);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    throw std::runtime_error(std::string("read from the tun device: ") + std::strerror(errno));
  }
  tun_reads_ += 1;
  const pkt::MutView frame(start, static_cast<size_t>(got));
  if (segmenter_.begin(frame, session_->grant.mtu) != pkt::SegmentResult::kOk) {
    dropped_ += 1;
    return true;
  }
  for (pkt::MutView packet; segmenter_.next(&packet);) send(packet);
  return !stream_blocked() || session_->dtls;
}

void Pump::send(pkt::MutView packet) {
  const bool dtls = session_->dtls != nullptr;
  const size_t header = dtls ? pkt::kDtlsTypeSize : pkt::kCstpHeaderSize;
  uint8_t* record = packet.data() - header;
  if (dtls) record[0] = static_cast<uint8_t>(pkt::PacketType::kData);
  else pkt::write_cstp_header({record, header}, pkt::PacketType::kData, packet.size());
  Channel& channel = dtls ? *session_->datagram_channel : *session_->stream_channel;
  packets_out_ += 1;
  if (!channel.write(record, header + packet.size())) dropped_ += 1;
}

bool Pump::from_stream() {
  bool more = true;
  bool end = false;
  for (int i = 0; i < kBudget && more && !end; ++i) {
    count_fill(session_->stream->fill(), &more, &end);
    pkt::MutView frame;
    Arrived arrived;
    while ((arrived = reader_.next_tls(&frame)) == Arrived::kData) to_tun(frame);
    end = end || arrived == Arrived::kEnd;
  }
  coalescer_.flush([this](pkt::ConstView frame) { write_frame(frame); });
  return !end;
}

bool Pump::from_datagrams() {
  bool more = true;
  bool end = false;
  for (int i = 0; i < kBudget && more && !end; ++i) {
    count_fill(session_->datagrams->fill(), &more, &end);
    pkt::MutView frame;
    Arrived arrived;
    while ((arrived = reader_.next_dtls(&frame)) == Arrived::kData) to_tun(frame);
    end = end || arrived == Arrived::kEnd;
  }
  coalescer_.flush([this](pkt::ConstView frame) { write_frame(frame); });
  return !end;
}

void Pump::to_tun(pkt::MutView frame) {
  pkt::IpPacket ip;
  packets_in_ += 1;
  if (pkt::parse_ip(frame.from(pkt::kVnetHeaderSize), &ip) != pkt::IpError::kNone) {
    dropped_ += 1;
    return;
  }
  coalescer_.push(frame, ip, [this](pkt::ConstView ready) { write_frame(ready); });
}

void Pump::write_frame(pkt::ConstView frame) {
  tun_writes_ += 1;
  if (write(tun_.fd.get(), frame.data(), frame.size()) < 0) dropped_ += 1;
}

std::string Pump::summary() const {
  const Transport& wire = session_->dtls ? *session_->datagrams : *session_->stream;
  return "out " + std::to_string(packets_out_) + " packets, " + std::to_string(tun_reads_) + " reads, " +
         std::to_string(wire.counters().sends) + " sends; in " + std::to_string(packets_in_) + " packets, " +
         std::to_string(wire.counters().receives) + " receives, " + std::to_string(tun_writes_) + " writes; dropped " +
         std::to_string(dropped_) + ", refused " + std::to_string(wire.counters().refused);
}

}  // namespace ocvpn::bench
