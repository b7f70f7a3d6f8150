// A packet loop that runs in a thread of this process and serves many tunnels.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <unordered_map>

#include "dataplane/tunnel_host.h"

namespace ocvpn::dataplane {

class Engine final : public TunnelHost {
 public:
  // Starts the thread. Null and errno when the kernel refuses sockets, epoll or memory. `clock_rate`: see clock.h.
  static std::unique_ptr<Engine> create(uint32_t clock_rate = 1);
  ~Engine() override;

  const Counters* counters(uint32_t id) const override;
  pid_t process(uint32_t id) const override;
  int event_fd() const override { return channel_; }
  bool next_event(Event* event) override;
  void forget(uint32_t id) override;
  void stop() override;

 protected:
  bool launch(std::unique_ptr<TunnelSetup> setup) override;
  void deliver(const Command& command, const uint8_t* payload, size_t length, int fd) override;

 private:
  Engine(int channel, Clock clock) : TunnelHost(clock), channel_(channel) {}

  int channel_;
  std::thread thread_;
  CounterArena arena_;
  std::unordered_map<uint32_t, Counters*> tunnels_;
};

}  // namespace ocvpn::dataplane
