// The owner's side of a packet loop that runs in a thread: what the N-API binding and the test programs call.
// Not thread-safe: one owner thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dataplane/clock.h"
#include "dataplane/counters.h"
#include "dataplane/messages.h"
#include "dataplane/setup.h"

namespace ocvpn::dataplane {

class Engine {
 public:
  // Starts the thread. Null and errno when the kernel refuses sockets, epoll or memory. `clock_rate`: see clock.h.
  static std::unique_ptr<Engine> create(uint32_t clock_rate = 1);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Moves the connection into the loop and takes ownership of options.tun_fd, also on failure. Returns the tunnel's
  // id, 0 on failure (errno).
  uint32_t open(std::unique_ptr<TlsStream> tls, std::vector<uint8_t> response, std::vector<uint8_t> head,
                TunnelOptions options);
  // Takes ownership of `fd`. A tunnel that is not there any more, or a datagram that is too long, is ignored.
  void attach_udp(uint32_t id, int fd, bool hello, const uint8_t* datagram, size_t length);
  void terminate(uint32_t id, bool disconnect, CloseReason reason);
  // Answers a 'sign' event; null: refused.
  void complete_sign(uint32_t id, uint32_t request_id, const uint8_t* signature, size_t length);

  // Null when there is no such tunnel (any more). Valid until forget().
  const Counters* counters(uint32_t id) const;
  // Milliseconds since the last data packet.
  uint64_t idle_ms(const Counters& counters) const;

  // Readable when next_event() has something.
  int event_fd() const { return channel_; }
  // false: nothing waits. A 'closed' event leaves the tunnel's counters readable until forget().
  bool next_event(Event* event);
  // What follows the last event (event.payload_length bytes); valid until the next call of next_event().
  const uint8_t* event_payload() const { return payload_.get(); }
  // Frees the counters of a closed tunnel.
  void forget(uint32_t id);

  // Ends all tunnels as dropped and joins the thread. Events that were posted can still be read. Idempotent.
  void stop();

 private:
  Engine(int channel, Clock clock) : channel_(channel), clock_(clock), payload_(new uint8_t[kMaxPayload]) {}

  int channel_;
  Clock clock_;
  std::thread thread_;
  std::unique_ptr<uint8_t[]> payload_;
  CounterArena arena_;
  std::unordered_map<uint32_t, Counters*> tunnels_;
  uint32_t last_id_ = 0;
};

}  // namespace ocvpn::dataplane
