#include "dataplane/udp_socket.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace ocvpn::dataplane {

UdpSocket::UdpSocket(int fd, bool segment, bool gro) : fd_(fd), segment_(segment) {
  int domain = AF_INET;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0) ipv6_ = domain == AF_INET6;
  int on = gro ? 1 : 0;
  // Without UDP_GRO (kernels before 5.0) datagrams arrive one by one: slower, not wrong.
  setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
  // ENOENT without one: a socket that a running association shares with a new handshake.
  setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on);
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept { *this = std::move(other); }

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  if (this == &other) return *this;
  close_descriptor();
  fd_ = std::exchange(other.fd_, -1);
  segment_ = other.segment_;
  ipv6_ = other.ipv6_;
  overflow_ = other.overflow_;
  refused_ = other.refused_;
  too_big_ = other.too_big_;
  backlog_segment_ = other.backlog_segment_;
  backlog_ = std::move(other.backlog_);
  other.backlog_.clear();
  return *this;
}

UdpSocket::~UdpSocket() { close_descriptor(); }

void UdpSocket::close_descriptor() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void UdpSocket::set_mtu_discovery(bool on) {
  int v4 = on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
  int v6 = on ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT;
  // Known to every kernel that has UDP; without it the kernel's own way stays, which also works.
  if (ipv6_) {
    setsockopt(fd_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6);
  } else {
    setsockopt(fd_, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4);
  }
}

uint32_t UdpSocket::path_mtu() const {
  int mtu = 0;
  socklen_t size = sizeof mtu;
  int failed = ipv6_ ? getsockopt(fd_, IPPROTO_IPV6, IPV6_MTU, &mtu, &size)
                     : getsockopt(fd_, IPPROTO_IP, IP_MTU, &mtu, &size);
  return failed != 0 || mtu < 0 ? 0 : static_cast<uint32_t>(mtu);
}

void UdpSocket::limit_queue(uint64_t bytes) {
  constexpr uint64_t kLargest = 1 << 20;
  // The kernel doubles the value for its own overhead.
  int size = static_cast<int>(std::min(bytes, kLargest));
  int current = 0;
  socklen_t length = sizeof current;
  getsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &current, &length);
  if (size < current / 2) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  int on = 1;
  setsockopt(fd_, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
}

bool UdpSocket::take_refused() { return std::exchange(refused_, false); }
bool UdpSocket::take_too_big() { return std::exchange(too_big_, false); }

void UdpSocket::note_error(int error) {
  if (error == ECONNREFUSED) refused_ = true;
  if (error == EMSGSIZE) too_big_ = true;
}

size_t UdpSocket::send_segments(const uint8_t* data, size_t length, size_t segment, Counters* counters) {
  if (!segment_ || length <= segment) return send_singly(data, length, segment, counters);
  iovec part{const_cast<uint8_t*>(data), length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  auto size = static_cast<uint16_t>(segment);
  memcpy(CMSG_DATA(header), &size, sizeof size);
  for (int attempt = 0;; ++attempt) {
    if (sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      counters->udpSends.add();
      counters->udpSegmented.add((length + segment - 1) / segment);
      return length;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) return 0;
    if (errno == EIO || errno == EINVAL || errno == EMSGSIZE) {
      segment_ = false;
      return send_singly(data, length, segment, counters);
    }
    // A pending ICMP error (ECONNREFUSED, EHOSTUNREACH) is reported once and then cleared: the second try sends.
    note_error(errno);
    if (attempt > 0) return length;
  }
}

size_t UdpSocket::send_singly(const uint8_t* data, size_t length, size_t segment, Counters* counters) {
  size_t done = 0;
  bool retried = false;
  while (done < length) {
    size_t size = std::min(segment, length - done);
    if (send(fd_, data + done, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      counters->udpSends.add();
      done += size;
      retried = false;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) return done;
    note_error(errno);
    if (errno == EMSGSIZE) counters->dropsTooBig.add();
    if (errno != EMSGSIZE && !retried) {
      retried = true;
      continue;
    }
    done += size;
    retried = false;
  }
  return done;
}

void UdpSocket::keep(const uint8_t* data, size_t length, size_t segment) {
  // The caller stops reading the tun while blocked(), so that only replies to the client can meet a backlog: those
  // are lost like any datagram.
  if (!backlog_.empty()) return;
  backlog_.assign(data, data + length);
  backlog_segment_ = segment;
}

bool UdpSocket::flush_backlog(Counters* counters) {
  if (backlog_.empty()) return true;
  size_t sent = send_segments(backlog_.data(), backlog_.size(), backlog_segment_, counters);
  if (sent < backlog_.size()) {
    backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<ptrdiff_t>(sent));
    return false;
  }
  // Give the memory back: most sessions are idle most of the time.
  std::vector<uint8_t>().swap(backlog_);
  return true;
}

UdpBatch::UdpBatch() : buffer_(new uint8_t[kMaxBytes]) {}

uint8_t* UdpBatch::reserve(UdpSocket* socket, size_t length, Counters* counters) {
  if (length > kMaxBytes) {
    counters->dropsTooBig.add();
    return nullptr;
  }
  bool fits = length_ == 0 || (!closed_ && length <= segment_ && count_ < kMaxSegments && length_ + length <= kMaxBytes);
  if (!fits) flush(socket, counters);
  return buffer_.get() + length_;
}

void UdpBatch::commit(size_t length) {
  if (length_ == 0) segment_ = length;
  length_ += length;
  count_ += 1;
  if (length < segment_) closed_ = true;
}

void UdpBatch::add(UdpSocket* socket, const uint8_t* record, size_t length, Counters* counters) {
  uint8_t* room = reserve(socket, length, counters);
  if (room == nullptr) return;
  memcpy(room, record, length);
  commit(length);
}

void UdpBatch::flush(UdpSocket* socket, Counters* counters) {
  if (length_ == 0) return;
  size_t sent = 0;
  if (socket->flush_backlog(counters)) sent = socket->send_segments(buffer_.get(), length_, segment_, counters);
  if (sent < length_) socket->keep(buffer_.get() + sent, length_ - sent, segment_);
  length_ = 0;
  count_ = 0;
  closed_ = false;
}

UdpReceiver::UdpReceiver() {
  void* memory = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) memory_ = static_cast<uint8_t*>(memory);
}

UdpReceiver::~UdpReceiver() {
  if (memory_ != nullptr) munmap(memory_, kSlots * kSlotBytes);
}

namespace {

// Total of the datagrams that the socket's queue refused (cmsg SO_RXQ_OVFL), `before` without one.
uint32_t overflow_total(msghdr* message, uint32_t before) {
  for (cmsghdr* h = CMSG_FIRSTHDR(message); h != nullptr; h = CMSG_NXTHDR(message, h)) {
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_RXQ_OVFL) memcpy(&before, CMSG_DATA(h), sizeof before);
  }
  return before;
}

// Size of the datagrams inside a GRO super-datagram (cmsg UDP_GRO, an int), 0 without one.
size_t gro_segment(msghdr* message) {
  for (cmsghdr* h = CMSG_FIRSTHDR(message); h != nullptr; h = CMSG_NXTHDR(message, h)) {
    if (h->cmsg_level != SOL_UDP || h->cmsg_type != UDP_GRO) continue;
    int size = 0;
    memcpy(&size, CMSG_DATA(h), sizeof size);
    return size > 0 ? static_cast<size_t>(size) : 0;
  }
  return 0;
}

}  // namespace

int UdpReceiver::receive(UdpSocket& socket, Counters* counters) {
  mmsghdr messages[kSlots];
  iovec parts[kSlots];
  alignas(cmsghdr) char control[kSlots][CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t))];
  for (size_t i = 0; i < kSlots; ++i) {
    parts[i] = {memory_ + i * kSlotBytes, kSlotBytes};
    messages[i].msg_hdr = {};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = control[i];
    messages[i].msg_hdr.msg_controllen = sizeof control[i];
  }
  int count;
  do {
    count = recvmmsg(socket.fd(), messages, kSlots, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return errno == EAGAIN ? 0 : -1;
  counters->udpReceives.add();
  for (int i = 0; i < count; ++i) {
    size_t segment = gro_segment(&messages[i].msg_hdr);
    uint32_t overflow = overflow_total(&messages[i].msg_hdr, socket.overflow_);
    counters->dropsRateLimit.add(overflow - socket.overflow_);
    socket.overflow_ = overflow;
    size_t length = messages[i].msg_len;
    if (segment == 0 || segment > length) segment = length;
    if (segment < length) counters->udpGroReceives.add();
    received_[i] = {memory_ + static_cast<size_t>(i) * kSlotBytes, length, segment};
  }
  return count;
}

}  // namespace ocvpn::dataplane
