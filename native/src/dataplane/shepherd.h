// A process for each tunnel, cloned from a template (session_template.h) or forked from this one when the tunnel is
// opened. The child alone has the connection's keys and descriptors then; the shepherd speaks with it as with a loop in
// a thread, reads its counters, and sees its end.
//
// A child is not trusted: what it says is checked, it is never waited for, and one that says too much is killed.
// It ends with its shepherd.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "dataplane/dtls_context.h"
#include "dataplane/session_template.h"
#include "dataplane/tunnel_host.h"
#include "io/memory_map.h"
#include "io/unique_fd.h"
#include "pkt/token_bucket.h"

namespace ocvpn::dataplane {

class Shepherd final : public TunnelHost {
 public:
  // Null and errno when the kernel refuses epoll or /proc. No other thread may use OpenSSL while a tunnel is opened.
  static std::unique_ptr<Shepherd> create(uint32_t clock_rate = 1);
  ~Shepherd() override;

  bool start_template() override;
  void kill(uint32_t id) override;
  const Counters* counters(uint32_t id) const override;
  pid_t process(uint32_t id) const override;
  int event_fd() const override { return epoll_.get(); }
  bool next_event(Event* event) override;
  void forget(uint32_t id) override;
  void stop() override;

 protected:
  bool launch(std::unique_ptr<TunnelSetup> setup) override;
  void deliver(const Command& command, const uint8_t* payload, size_t length, int fd) override;

 private:
  struct Child {
    pid_t pid = 0;
    io::UniqueFd exit;     // pidfd
    io::UniqueFd channel;  // closed after its last event
    SharedCounters counters;
    bool ended = false;    // its 'closed' event was given
    pkt::TokenBucket events{kEventsPerSecond, kEventBurst, 0};
  };

  // A session tells of changes of its MTU and of DTLS; more than this is no session.
  static constexpr uint64_t kEventsPerSecond = 32;
  static constexpr uint64_t kEventBurst = 4096;

  Shepherd(io::UniqueFd epoll, io::MemoryMap memory, Clock clock)
      : TunnelHost(clock), epoll_(std::move(epoll)), memory_(std::move(memory)) {}

  bool spawn(TunnelSetup* setup, Child* child);
  bool fork_off(std::unique_ptr<TunnelSetup> setup, Child* child);
  bool adopt(uint32_t id, Child child);
  static SharedCounters new_counters();
  bool watch(uint32_t id, const Child& child);
  void close_watched(io::UniqueFd& fd);
  bool take_event(uint32_t id, Child& child, Event* event);
  bool take_exit(uint32_t id, Child& child, Event* event);
  void wait_for_all(int milliseconds);
  void erase_if_over(uint32_t id);

  io::UniqueFd epoll_;
  io::MemoryMap memory_;
  // For the children, which get them by the fork. Never used here.
  std::shared_ptr<DtlsContexts> dtls_contexts_ = std::make_shared<DtlsContexts>();
  std::unique_ptr<SessionTemplate> template_;
  std::optional<Event> template_lost_;
  std::unordered_map<uint32_t, Child> children_;
};

}  // namespace ocvpn::dataplane
