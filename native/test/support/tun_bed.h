// A tun device in a network namespace of this process's own, to try frames on the real kernel.
#pragma once

#include <string>

#include "support/model.h"

namespace ocvpn::test {

class TunBed {
 public:
  /** Enters a new network namespace and creates the device: 10.77.0.1/24, fd77::1/64, MTU 1400. Check error() after. */
  TunBed();
  ~TunBed();
  TunBed(const TunBed&) = delete;
  TunBed& operator=(const TunBed&) = delete;

  /** Why there is no test bed (not root, no /dev/net/tun); empty: it is there. */
  const std::string& error() const { return error_; }
  /** Whether the kernel takes and gives UDP super-packets (Linux 6.2). */
  bool uso() const { return uso_; }

  /** Writes one frame; false when the kernel refuses it. */
  bool write_frame(const uint8_t* data, size_t size);
  /** The next TCP or UDP frame (others are skipped); empty after 5 seconds of silence. */
  Bytes read_frame();

 private:
  int fd_ = -1;
  bool uso_ = false;
  std::string error_;
};

/** A socket bound to the device's address; reads give up after 5 seconds. `type`: SOCK_STREAM or SOCK_DGRAM. */
int socket_bound(int version, int type, uint16_t port);

}  // namespace ocvpn::test
