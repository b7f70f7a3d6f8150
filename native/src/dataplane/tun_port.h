// The tun descriptor of one session.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/counters.h"
#include "pkt/view.h"

namespace ocvpn::dataplane {

// Owns the descriptor. Frames always have a vnet header in memory; it is added and removed here for a device without
// IFF_VNET_HDR.
class TunPort {
 public:
  enum class Status : uint8_t { ok, empty, gone };

  TunPort(int fd, bool vnet_hdr, Counters* counters);
  ~TunPort();
  TunPort(const TunPort&) = delete;
  TunPort& operator=(const TunPort&) = delete;

  int fd() const { return fd_; }
  void close_descriptor();

  // One frame into `buffer` (pkt::kMaxTunFrame bytes). empty: nothing waits. gone: the device was removed.
  Status read(uint8_t* buffer, size_t* length);
  // One write(); a frame that the device does not take now is dropped and counted. Sets gone() when it was removed.
  void write(pkt::ConstView frame);
  bool gone() const { return gone_; }

 private:
  int fd_;
  bool vnet_hdr_;
  bool gone_ = false;
  Counters* counters_;
};

}  // namespace ocvpn::dataplane
