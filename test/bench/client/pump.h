// The data path of one session: tun device on one side, DTLS or TLS on the other.
#pragma once

#include <memory>

#include "io/tun.h"
#include "pkt/coalesce.h"
#include "pkt/segment.h"
#include "records.h"
#include "session.h"

namespace ocvpn::bench {

/** Opens the client's tun device with every offload that the kernel grants. Throws std::runtime_error. */
io::Tun open_device(const std::string& name);

class Pump {
 public:
  Pump(Session* session, io::Tun tun);

  /** Moves packets until the server ends the session or `stop_fd` becomes readable. */
  void run(int stop_fd);
  /** One line about batching, for people who tune. */
  std::string summary() const;

 private:
  bool stream_blocked() const { return session_->stream->pending() > 0; }
  void from_tun();
  bool read_tun();
  void send(pkt::MutView packet);
  bool from_stream();
  bool from_datagrams();
  void to_tun(pkt::MutView frame);
  void write_frame(pkt::ConstView frame);

  Session* session_;
  io::Tun tun_;
  pkt::Coalescer coalescer_;
  RecordReader reader_;
  pkt::Segmenter segmenter_;
  std::unique_ptr<uint8_t[]> frame_;
  uint64_t tun_reads_ = 0;
  uint64_t tun_writes_ = 0;
  uint64_t packets_out_ = 0;
  uint64_t packets_in_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace ocvpn::bench
