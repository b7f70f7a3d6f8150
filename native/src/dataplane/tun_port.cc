#include "dataplane/tun_port.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pkt/vnet_header.h"

namespace ocvpn::dataplane {

TunPort::TunPort(int fd, bool vnet_hdr, Counters* counters) : fd_(fd), vnet_hdr_(vnet_hdr), counters_(counters) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

TunPort::~TunPort() { close_descriptor(); }

void TunPort::close_descriptor() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

// read() and write() are calls of their own here: those of the C library can be cancelled, which costs a third of an empty
// call again in a process that was forked from one with threads.
TunPort::Status TunPort::read(uint8_t* buffer, size_t* length) {
  size_t skip = vnet_hdr_ ? 0 : pkt::kVnetHeaderSize;
  ssize_t got;
  do {
    got = syscall(SYS_read, fd_, buffer + skip, pkt::kMaxTunFrame - skip);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    // EIO: the interface is down for now. EBADFD: the device is not there any more; nor is it at an end of file.
    if (got == 0 || errno == EBADFD || errno == ENODEV) gone_ = true;
    return gone_ ? Status::gone : Status::empty;
  }
  counters_->tunReads.add();
  if (skip > 0) memset(buffer, 0, skip);
  *length = static_cast<size_t>(got) + skip;
  return Status::ok;
}

void TunPort::write(pkt::ConstView frame) {
  if (fd_ < 0) return;
  size_t skip = vnet_hdr_ ? 0 : pkt::kVnetHeaderSize;
  ssize_t done;
  do {
    done = syscall(SYS_write, fd_, frame.data() + skip, frame.size() - skip);
  } while (done < 0 && errno == EINTR);
  if (done >= 0) {
    counters_->tunWrites.add();
    return;
  }
  if (errno == EBADFD || errno == ENODEV) gone_ = true;
  if (errno == EINVAL) {
    counters_->dropsMalformed.add();  // the kernel's own look at the packet
  } else {
    counters_->dropsTunFull.add();
  }
}

}  // namespace ocvpn::dataplane
