// One connected UDP socket of a client, and the output batch that a thread shares between all of them.
//
// Sending: DTLS records of a burst are collected back to back and leave in one sendmsg with UDP_SEGMENT
// (linux/udp.h): all segments have the size of the first, the last may be shorter. A socket on which the kernel
// refuses that (EIO: no checksum offload on the route; EINVAL, EMSGSIZE: segment larger than the device's MTU) sends
// datagram by datagram from then on. What the socket cannot take now (EAGAIN) stays in the socket's own backlog,
// at most one batch, until it is writable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/counters.h"

namespace ocvpn::dataplane {

// Owns the descriptor, and takes off the filter that the socket was made with (io/udp_socket.h).
class UdpSocket {
 public:
  UdpSocket() = default;
  UdpSocket(int fd, bool segment, bool gro);
  UdpSocket(UdpSocket&& other) noexcept;
  UdpSocket& operator=(UdpSocket&& other) noexcept;
  ~UdpSocket();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  bool blocked() const { return !backlog_.empty(); }
  // true: DF is set and what is larger than the path's MTU is refused (EMSGSIZE); false: fragments are allowed.
  void set_mtu_discovery(bool on);
  // Path MTU that the kernel knows for the peer (IP_MTU / IPV6_MTU), bytes with IP header; 0 if it knows none.
  uint32_t path_mtu() const;
  // IP and UDP header, bytes.
  uint32_t header_bytes() const { return ipv6_ ? 48 : 28; }

  // Keeps the kernel's queue short, for a client whose rate is held by not reading: `bytes` of datagrams at most, and
  // what did not fit is counted in dropsRateLimit.
  void limit_queue(uint64_t bytes);

  // Sends what waits. true: nothing waits any more.
  bool flush_backlog(Counters* counters);

  // After a send that failed with ECONNREFUSED (nobody listens there any more) or EMSGSIZE. Reading resets it.
  bool take_refused();
  bool take_too_big();

 private:
  friend class UdpBatch;
  friend class UdpReceiver;

  void close_descriptor();
  // Returns bytes that left (or that are lost); less than `length` only with EAGAIN.
  size_t send_segments(const uint8_t* data, size_t length, size_t segment, Counters* counters);
  size_t send_singly(const uint8_t* data, size_t length, size_t segment, Counters* counters);
  void keep(const uint8_t* data, size_t length, size_t segment);
  void note_error(int error);

  int fd_ = -1;
  bool segment_ = false;
  bool ipv6_ = false;
  uint32_t overflow_ = 0;  // SO_RXQ_OVFL: datagrams that the kernel's queue refused since limit_queue()
  bool refused_ = false;
  bool too_big_ = false;
  size_t backlog_segment_ = 0;
  std::vector<uint8_t> backlog_;
};

// Collects records for one socket at a time. One per thread; empty between two sessions' turns.
class UdpBatch {
 public:
  UdpBatch();

  // Room for one record of this length, flushing first when it does not fit the batch. It is part of the batch after
  // commit(). null: longer than a datagram, and counted as dropped.
  uint8_t* reserve(UdpSocket* socket, size_t length, Counters* counters);
  void commit(size_t length);
  // Both, with a copy of the record.
  void add(UdpSocket* socket, const uint8_t* record, size_t length, Counters* counters);
  void flush(UdpSocket* socket, Counters* counters);
  bool empty() const { return length_ == 0; }

 private:
  // UDP_MAX_SEGMENTS of linux/udp.h (kernels since 6.9 allow 128), largest UDP payload over IPv4.
  static constexpr size_t kMaxSegments = 64;
  static constexpr size_t kMaxBytes = 65507;

  // Not cleared: only the pages that records touch cost memory.
  std::unique_ptr<uint8_t[]> buffer_;
  size_t length_ = 0;
  size_t segment_ = 0;
  size_t count_ = 0;
  bool closed_ = false;  // a shorter record ended the batch
};

// Result of one receive: datagrams of `segment` bytes back to back, the last one may be shorter.
struct UdpReceived {
  const uint8_t* data = nullptr;
  size_t length = 0;
  size_t segment = 0;
};

// Receive buffers of a thread: many slots for recvmmsg, each large enough for a UDP_GRO super-datagram. Only pages
// that datagrams touch cost memory.
class UdpReceiver {
 public:
  static constexpr size_t kSlots = 16;

  UdpReceiver();
  ~UdpReceiver();
  UdpReceiver(const UdpReceiver&) = delete;
  UdpReceiver& operator=(const UdpReceiver&) = delete;

  bool ready() const { return memory_ != nullptr; }
  // Number of entries of received() that are filled; 0: nothing waits; -1: error (errno).
  int receive(UdpSocket& socket, Counters* counters);
  const UdpReceived& received(int index) const { return received_[index]; }

 private:
  static constexpr size_t kSlotBytes = 65536;

  uint8_t* memory_ = nullptr;
  UdpReceived received_[kSlots];
};

}  // namespace ocvpn::dataplane
