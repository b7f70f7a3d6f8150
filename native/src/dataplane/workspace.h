// What all sessions of one loop share: descriptors' watch, timers, events, and the buffers that are only in use during
// one session's turn. So an idle session costs its own state and no buffer.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "dataplane/clock.h"
#include "dataplane/dtls_context.h"
#include "dataplane/messages.h"
#include "dataplane/turn_pace.h"
#include "dataplane/udp_socket.h"
#include "pkt/coalesce.h"
#include "pkt/compression.h"
#include "pkt/cstp.h"
#include "pkt/timer_wheel.h"
#include "pkt/vnet_header.h"

namespace ocvpn::dataplane {

class Session;

enum class WatchKind : uint8_t { channel, tun, tcp, udp0, udp1 };

// One watched descriptor; epoll carries its address.
struct Watch {
  WatchKind kind = WatchKind::channel;
  Session* session = nullptr;
  int fd = -1;
  uint32_t events = 0;
};

class EpollSet {
 public:
  EpollSet();
  ~EpollSet();
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;

  bool ready() const { return fd_ >= 0; }
  bool add(Watch* watch, int fd, uint32_t events);
  // Changes the events if they differ.
  void set(Watch* watch, uint32_t events);
  // Must come before the descriptor is closed: another process may hold the same open file, and then the kernel would
  // keep reporting it.
  void remove(Watch* watch);
  int wait(epoll_event* events, int capacity, int timeout_ms) { return epoll_wait(fd_, events, capacity, timeout_ms); }
  // For waits of less than a millisecond. Kernels before 5.11 cannot: there it is up to one longer.
  int wait_ns(epoll_event* events, int capacity, uint64_t timeout_ns);

 private:
  int fd_;
};

// Events to the owner of the loop. Never blocks and never loses one: what the socket cannot take waits here. Their
// number is bounded by what the owner itself asked for (tunnels, UDP hand-overs) and one MTU change per byte of MTU.
class EventQueue {
 public:
  EventQueue(int socket, EpollSet* epoll, Watch* watch) : socket_(socket), epoll_(epoll), watch_(watch) {}

  // `payload` has event.payload_length bytes and is copied.
  void post(const Event& event, const uint8_t* payload = nullptr);
  void on_writable();
  bool empty() const { return waiting_.empty(); }

 private:
  int socket_;
  EpollSet* epoll_;
  Watch* watch_;
  struct Waiting {
    Event event;
    std::vector<uint8_t> payload;
  };
  std::deque<Waiting> waiting_;
};

// Sessions whose tun is not read for a moment.
class HoldQueue {
 public:
  bool empty() const { return holds_.empty(); }
  // When the next one is due, loop nanoseconds; not when empty.
  uint64_t next_ns() const { return holds_.top().until_ns; }
  void push(uint32_t session, uint64_t until_ns) { holds_.push({session, until_ns}); }
  // false: none is due.
  bool pop(uint64_t now_ns, uint32_t* session);

 private:
  struct Hold {
    uint32_t session;
    uint64_t until_ns;
    bool operator<(const Hold& other) const { return until_ns > other.until_ns; }  // the first one is on top
  };
  std::priority_queue<Hold> holds_;
};

struct Workspace {
  Workspace(Clock loop_clock, int channel, Watch* channel_watch, std::shared_ptr<DtlsContexts> contexts)
      : clock(loop_clock),
        now_ns(clock.now_ns()),
        timers(now_ms()),
        events(channel, &epoll, channel_watch),
        coalescer(false, false),
        dtls_contexts(std::move(contexts)),
        tun_frame(new uint8_t[pkt::kMaxTunFrame]),
        record(new uint8_t[kRecordHeadroom + kRecordCapacity]),
        inflated(new uint8_t[kRecordHeadroom + pkt::kMaxPlainPacket]),
        compressed(new uint8_t[pkt::kCstpHeaderSize + pkt::kMaxPlainPacket]) {}

  // Time of this turn of the loop.
  uint64_t now_ms() const { return now_ns / 1000000; }

  // In front of a decrypted record: the coalescer's scratch (kVnetHeaderSize) in front of the packet inside.
  static constexpr size_t kRecordHeadroom = 16;
  static constexpr size_t kRecordCapacity = pkt::Coalescer::kLandingRoom;

  Clock clock;
  uint64_t now_ns;
  TurnPace pace;
  HoldQueue holds;
  EpollSet epoll;
  pkt::TimerWheel timers;
  EventQueue events;
  UdpBatch udp_batch;
  UdpReceiver udp_receiver;
  pkt::Coalescer coalescer;
  std::shared_ptr<DtlsContexts> dtls_contexts;
  std::unique_ptr<uint8_t[]> tun_frame;
  std::unique_ptr<uint8_t[]> record;
  std::unique_ptr<uint8_t[]> inflated;    // a packet that came compressed, behind kRecordHeadroom
  std::unique_ptr<uint8_t[]> compressed;  // a packet to be sent compressed, behind its header
};

}  // namespace ocvpn::dataplane
