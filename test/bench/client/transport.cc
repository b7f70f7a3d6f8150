#include "transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace ocvpn::bench {

namespace {

// linux/udp.h; Debian's netinet/udp.h may lack them.
constexpr int kUdpSegment = 103;
constexpr int kUdpGro = 104;

constexpr int kWaitMs = 30000;
constexpr size_t kInCapacity = 65536;
constexpr size_t kStreamOutCapacity = size_t{1} << 20;
/** Payload of one UDP super-packet: what an IPv6 packet of 65535 bytes leaves, less a margin for both families. */
constexpr size_t kDatagramOutCapacity = 65000;
/** UDP_MAX_SEGMENTS of kernels before 6.10. */
constexpr size_t kMaxSegments = 64;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

Transport& transport_of(BIO* bio) { return *static_cast<Transport*>(BIO_get_data(bio)); }

int bio_read(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = transport_of(bio).read(reinterpret_cast<uint8_t*>(out), static_cast<size_t>(size));
  if (got < 0) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t taken = transport_of(bio).write(reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size));
  if (taken < 0) BIO_set_retry_write(bio);
  return static_cast<int>(taken);
}

long bio_ctrl(BIO* bio, int command, long, void*) {
  if (command != BIO_CTRL_FLUSH) return 0;
  transport_of(bio).flush();
  return 1;
}

BIO_METHOD* bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bench transport");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_ctrl);
    return made;
  }();
  return method;
}

}  // namespace

bool wait_for(int fd, short events, int timeout_ms) {
  pollfd entry{fd, events, 0};
  const int ready = poll(&entry, 1, timeout_ms);
  if (ready < 0 && errno != EINTR) fail("poll");
  return ready > 0;
}

Transport::Transport(io::UniqueFd fd, Kind kind)
    : fd_(std::move(fd)),
      kind_(kind),
      in_(new uint8_t[kInCapacity]),
      out_(new uint8_t[kind == Kind::kStream ? kStreamOutCapacity : kDatagramOutCapacity]),
      out_capacity_(kind == Kind::kStream ? kStreamOutCapacity : kDatagramOutCapacity) {
  if (fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK) < 0) fail("fcntl");
  const int on = 1;
  if (kind == Kind::kDatagram && setsockopt(fd_.get(), IPPROTO_UDP, kUdpGro, &on, sizeof on) < 0) fail("UDP_GRO");
}

BIO* Transport::make_bio() {
  BIO* bio = BIO_new(bio_method());
  if (!bio) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

Transport::Fill Transport::fill() {
  const size_t kept = kind_ == Kind::kStream ? in_size_ - in_start_ : 0;
  if (kept > 0) std::memmove(in_.get(), in_.get() + in_start_, kept);
  in_start_ = 0;
  in_size_ = kept;
  iovec part{in_.get() + kept, kInCapacity - kept};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(fd_.get(), &message, 0);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return Fill::kEmpty;
    // An ICMP error for an earlier datagram; the peer may come back.
    if (kind_ == Kind::kDatagram && errno == ECONNREFUSED) return Fill::kEmpty;
    if (errno == ECONNRESET) return Fill::kEnd;
    fail("recvmsg");
  }
  counters_.receives += 1;
  if (got == 0) return kind_ == Kind::kStream ? Fill::kEnd : Fill::kEmpty;
  in_size_ += static_cast<size_t>(got);
  in_segment_ = in_size_;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != IPPROTO_UDP || header->cmsg_type != kUdpGro) continue;
    int segment;
    std::memcpy(&segment, CMSG_DATA(header), sizeof segment);
    in_segment_ = static_cast<size_t>(segment);
  }
  return Fill::kData;
}

ssize_t Transport::read(uint8_t* out, size_t size) {
  if (in_start_ == in_size_) {
    if (!waiting_) return -1;
    if (!wait_for(fd_.get(), POLLIN, kWaitMs)) throw std::runtime_error("the server said nothing for 30 s");
    const Fill filled = fill();
    if (filled != Fill::kData) return filled == Fill::kEnd ? 0 : -1;
  }
  const pkt::ConstView unit = peek();
  const size_t given = std::min(unit.size(), size);
  std::memcpy(out, unit.data(), given);
  // What does not fit is lost with a datagram, as with recv(2).
  consume(kind_ == Kind::kDatagram ? unit.size() : given);
  return static_cast<ssize_t>(given);
}

pkt::ConstView Transport::peek() const {
  const size_t left = in_size_ - in_start_;
  return {in_.get() + in_start_, kind_ == Kind::kDatagram ? std::min(left, in_segment_) : left};
}

bool Transport::fits(size_t size) const {
  if (size > out_capacity_ - out_size_) return false;
  if (kind_ == Kind::kStream || out_count_ == 0) return true;
  return !out_closed_ && size <= out_segment_ && out_count_ < kMaxSegments;
}

uint8_t* Transport::reserve(size_t size) {
  if (!fits(size)) flush();
  if (fits(size)) return out_.get() + out_size_;
  if (size > out_capacity_) throw std::length_error("record larger than the buffer");
  return nullptr;
}

void Transport::commit(size_t size) {
  out_size_ += size;
  if (kind_ == Kind::kStream) return;
  if (out_count_ == 0) out_segment_ = size;
  out_closed_ = size < out_segment_;
  out_count_ += 1;
}

ssize_t Transport::write(const uint8_t* data, size_t size) {
  uint8_t* room = reserve(size);
  if (!room) return -1;
  std::memcpy(room, data, size);
  commit(size);
  return static_cast<ssize_t>(size);
}

bool Transport::flush() {
  if (kind_ == Kind::kStream) return flush_stream();
  flush_datagrams();
  return true;
}

bool Transport::flush_stream() {
  while (pending() > 0) {
    const ssize_t sent = send(fd_.get(), out_.get() + out_start_, pending(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) fail("send");
      if (!waiting_) return false;
      if (!wait_for(fd_.get(), POLLOUT, kWaitMs)) throw std::runtime_error("the server took nothing for 30 s");
      continue;
    }
    counters_.sends += 1;
    out_start_ += static_cast<size_t>(sent);
  }
  out_start_ = out_size_ = 0;
  return true;
}

void Transport::flush_datagrams() {
  if (out_count_ == 0) return;
  iovec part{out_.get(), out_size_};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (out_count_ > 1) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = kUdpSegment;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segment = static_cast<uint16_t>(out_segment_);
    std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
  }
  ssize_t sent;
  do {
    sent = sendmsg(fd_.get(), &message, 0);
  } while (sent < 0 && errno == EAGAIN && wait_for(fd_.get(), POLLOUT, kWaitMs));
  counters_.sends += 1;
  if (sent < 0) counters_.refused += 1;
  out_size_ = out_start_ = out_count_ = 0;
  out_closed_ = false;
}

}  // namespace ocvpn::bench
