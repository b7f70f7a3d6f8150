// The packet loop: one epoll thread (or one forked child) that serves many tunnels. It knows neither N-API nor libuv;
// its owner speaks to it through a SOCK_SEQPACKET socket (messages.h).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/session.h"
#include "dataplane/workspace.h"

namespace ocvpn::dataplane {

class Loop {
 public:
  // `channel`: the loop's end of the socket pair, non-blocking; owned. `dtls_contexts`: used by this loop alone.
  Loop(int channel, Clock clock, std::shared_ptr<DtlsContexts> dtls_contexts);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Whether epoll and the buffers could be made.
  bool ready() const;
  // Opens a tunnel before run(): for a child that got it by fork. Afterwards use Command::open.
  void open(std::unique_ptr<TunnelSetup> setup);
  // Serves until `shutdown` comes or the owner is gone. All tunnels end as dropped.
  void run();

 private:
  static constexpr int kEventsPerTurn = 64;
  static constexpr int kCommandsPerTurn = 64;

  void turn();
  int wait(epoll_event* events);
  uint64_t pause();
  void release_holds();
  void on_channel(uint32_t events);
  void on_command(const Command& command, int fd);
  void remove_finished(Session* session);
  void end_all();

  int channel_;
  Watch channel_watch_;
  Workspace workspace_;
  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  // Finished in this turn; events of the same epoll_wait may still name them.
  std::vector<std::unique_ptr<Session>> graveyard_;
  std::unique_ptr<uint8_t[]> payload_;  // of the command at hand
  bool stopping_ = false;
};

}  // namespace ocvpn::dataplane
