#include "dataplane/engine.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "dataplane/loop.h"

namespace ocvpn::dataplane {

namespace {

// Signals belong to the owner's threads: a thread started with all of them blocked never gets one.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

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
  auto loop = std::make_unique<Loop>(pair[1], clock);
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

uint32_t Engine::open(std::unique_ptr<TlsStream> tls, std::vector<uint8_t> response, std::vector<uint8_t> head,
                      TunnelOptions options) {
  auto setup = std::make_unique<TunnelSetup>();
  setup->id = ++last_id_;
  setup->tls = std::move(tls);
  setup->options = std::move(options);
  setup->counters = arena_.acquire();
  setup->response = std::move(response);
  setup->head = std::move(head);
  uint32_t id = setup->id;
  Counters* counters = setup->counters;
  int tun_fd = setup->options.tun_fd;
  Command command;
  command.type = CommandType::open;
  command.id = id;
  command.setup = setup.get();
  if (counters == nullptr || !send_command(channel_, command, nullptr, 0, -1)) {
    int error = counters == nullptr ? ENOMEM : errno;
    if (counters != nullptr) arena_.release(counters);
    close(tun_fd);
    errno = error;
    return 0;
  }
  setup.release();  // the loop's now
  tunnels_[id] = counters;
  return id;
}

void Engine::attach_udp(uint32_t id, int fd, bool hello, const uint8_t* datagram, size_t length) {
  Command command;
  command.type = CommandType::attach_udp;
  command.id = id;
  command.hello = hello;
  // A failure means that the loop has stopped or the datagram is no DTLS record: the client will send another.
  if (tunnels_.count(id) != 0) send_command(channel_, command, datagram, length, fd);
  close(fd);  // the loop has its own copy
}

void Engine::terminate(uint32_t id, bool disconnect, CloseReason reason) {
  Command command;
  command.type = CommandType::terminate;
  command.id = id;
  command.disconnect = disconnect;
  command.reason = reason;
  // A loop that has stopped has ended its tunnels.
  send_command(channel_, command, nullptr, 0, -1);
}

void Engine::complete_sign(uint32_t id, uint32_t request_id, const uint8_t* signature, size_t length) {
  Command command;
  command.type = CommandType::sign_done;
  command.id = id;
  command.request_id = request_id;
  command.refused = signature == nullptr;
  send_command(channel_, command, signature, command.refused ? 0 : length, -1);
}

const Counters* Engine::counters(uint32_t id) const {
  auto found = tunnels_.find(id);
  return found == tunnels_.end() ? nullptr : found->second;
}

uint64_t Engine::idle_ms(const Counters& counters) const {
  uint64_t now = clock_.now_ms();
  uint64_t last = counters.lastDataMs.get();
  return last == 0 || last > now ? 0 : now - last;
}

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
