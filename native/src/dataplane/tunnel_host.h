// The owner's side of packet loops: what the N-API binding and the test programs call. Two kinds: an Engine runs one
// loop in a thread for all tunnels, a Shepherd one process for each tunnel. Not thread-safe: one owner thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/clock.h"
#include "dataplane/counters.h"
#include "dataplane/messages.h"
#include "dataplane/setup.h"

namespace ocvpn::dataplane {

class TunnelHost {
 public:
  virtual ~TunnelHost() = default;
  TunnelHost(const TunnelHost&) = delete;
  TunnelHost& operator=(const TunnelHost&) = delete;

  // Moves the connection into a loop and takes ownership of options.tun_fd, also on failure. Returns the tunnel's
  // id, 0 on failure (errno).
  uint32_t open(std::unique_ptr<TlsStream> tls, std::vector<uint8_t> response, std::vector<uint8_t> head,
                TunnelOptions options);
  // Makes what open() has then ready, where there is something: with the rights that this process has now, so after it
  // has given the others up, and before its memory holds a secret of anybody. false and errno: open() does without.
  virtual bool start_template() { return true; }
  // Takes ownership of `fd`. A tunnel that is not there any more, or a datagram that is too long, is ignored.
  void attach_udp(uint32_t id, int fd, bool hello, const uint8_t* datagram, size_t length);
  void terminate(uint32_t id, bool disconnect, CloseReason reason);
  // Answers a 'sign' event; null: refused.
  void complete_sign(uint32_t id, uint32_t request_id, const uint8_t* signature, size_t length);
  // Ends a tunnel's process that does not do what it is told, where it has one of its own; its 'closed' event comes.
  virtual void kill(uint32_t /*id*/) {}

  // Null when there is no such tunnel (any more). Valid until forget().
  virtual const Counters* counters(uint32_t id) const = 0;
  // Milliseconds since the last data packet.
  uint64_t idle_ms(const Counters& counters) const;
  // Id of the process that serves the tunnel.
  virtual pid_t process(uint32_t id) const = 0;

  // Readable when next_event() has something.
  virtual int event_fd() const = 0;
  // false: nothing waits. A 'closed' event leaves the tunnel's counters readable until forget().
  virtual bool next_event(Event* event) = 0;
  // What follows the last event (event.payload_length bytes); valid until the next call of next_event().
  const uint8_t* event_payload() const { return payload_.get(); }
  // Frees the counters of a closed tunnel.
  virtual void forget(uint32_t id) = 0;

  // Ends all tunnels as dropped and waits for that. Events that were posted can still be read. Idempotent.
  virtual void stop() = 0;

 protected:
  explicit TunnelHost(Clock clock) : clock_(clock), payload_(new uint8_t[kMaxPayload]) {}

  // Gives the setup, which has an id, its counters and a loop. false and errno: there is none; tun_fd is still open.
  virtual bool launch(std::unique_ptr<TunnelSetup> setup) = 0;
  // A command for the tunnel that command.id names, if it is there; as send_command().
  virtual void deliver(const Command& command, const uint8_t* payload, size_t length, int fd) = 0;

  Clock clock_;
  std::unique_ptr<uint8_t[]> payload_;

 private:
  uint32_t last_id_ = 0;
};

}  // namespace ocvpn::dataplane
