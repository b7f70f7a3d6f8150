#include "dataplane/engine.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "dataplane/block_signals.h"
#include "dataplane/loop.h"

namespace ocvpn::dataplane {

namespace {

void run_loop(std::unique_ptr<Loop> loop) {
  pthread_setname_np(pthread_self(), "ocvpn-packets");
  loop->run();
}

}  // namespace

std::unique_ptr<Engine> Engine::create(uint32_t clock_rate) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return nullptr;
  Clock clock(clock_rate);
  std::unique_ptr<Engine> engine(new Engine(pair[0], clock));
  auto loop = std::make_unique<Loop>(pair[1], clock, std::make_shared<DtlsContexts>());
  if (!loop->ready()) {
    errno = ENOMEM;
    return nullptr;
  }
  BlockSignals blocked;
  engine->thread_ = std::thread(run_loop, std::move(loop));
  return engine;
}

Engine::~Engine() {
  stop();
  close(channel_);
}

bool Engine::launch(std::unique_ptr<TunnelSetup> setup) {
  Counters* counters = setup->counters = arena_.acquire();
  if (counters == nullptr) {
    errno = ENOMEM;
    return false;
  }
  Command command;
  command.type = CommandType::open;
  command.id = setup->id;
  command.setup = setup.get();
  if (!send_command(channel_, command, nullptr, 0, -1)) {
    arena_.release(counters);
    return false;
  }
  setup.release();  // the loop's now
  tunnels_[command.id] = counters;
  return true;
}

void Engine::deliver(const Command& command, const uint8_t* payload, size_t length, int fd) {
  if (tunnels_.count(command.id) != 0) send_command(channel_, command, payload, length, fd);
}

const Counters* Engine::counters(uint32_t id) const {
  auto found = tunnels_.find(id);
  return found == tunnels_.end() ? nullptr : found->second;
}

pid_t Engine::process(uint32_t /*id*/) const { return getpid(); }

bool Engine::next_event(Event* event) { return receive_event(channel_, event, payload_.get()) == 1; }

void Engine::forget(uint32_t id) {
  auto found = tunnels_.find(id);
  if (found == tunnels_.end()) return;
  arena_.release(found->second);
  tunnels_.erase(found);
}

void Engine::stop() {
  if (!thread_.joinable()) return;
  Command command;
  command.type = CommandType::shutdown;
  // A loop that cannot be told has ended already.
  send_command(channel_, command, nullptr, 0, -1);
  thread_.join();
}

}  // namespace ocvpn::dataplane
