#include "dataplane/shepherd.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "dataplane/block_signals.h"
#include "dataplane/handover.h"
#include "dataplane/session_process.h"

namespace ocvpn::dataplane {

namespace {

// Time for the children to end their tunnels, once they are told.
constexpr int kStopMs = 2000;

// Which of a child's two descriptors epoll reports: the lowest bit of its data.
enum Source : uint64_t { kChannel = 0, kExit = 1 };
uint64_t watch_data(uint32_t id, Source source) { return uint64_t{id} << 1 | source; }

bool add_watch(int epoll, int fd, uint64_t data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// The bytes came from a process that may have been taken over.
bool make_sound(Event* event, uint32_t id) {
  if (event->type > EventType::closed || event->reason > CloseReason::health_probe || event->id != id) return false;
  uint8_t accepted = 0;
  memcpy(&accepted, &event->accepted, sizeof accepted);
  event->accepted = accepted != 0;
  event->version[sizeof event->version - 1] = '\0';
  event->cipher[sizeof event->cipher - 1] = '\0';
  event->detail[sizeof event->detail - 1] = '\0';
  return true;
}

void describe_end(int status, char* out, size_t capacity) {
  if (WIFSIGNALED(status)) {
    snprintf(out, capacity, "the session's process was ended by signal %d", WTERMSIG(status));
    return;
  }
  const char* known = describe_session_exit(WEXITSTATUS(status));
  if (known != nullptr) {
    copy_text(out, capacity, known);
  } else {
    snprintf(out, capacity, "the session's process ended with status %d", WEXITSTATUS(status));
  }
}

}  // namespace

SharedCounters Shepherd::new_counters() {
  void* memory = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return SharedCounters(memory == MAP_FAILED ? nullptr : new (memory) Counters());
}

std::unique_ptr<Shepherd> Shepherd::create(uint32_t clock_rate) {
  io::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return nullptr;
  io::Result<io::MemoryMap> memory = io::MemoryMap::open();
  if (!memory.ok()) {
    errno = memory.error().code;
    return nullptr;
  }
  return std::unique_ptr<Shepherd>(new Shepherd(std::move(epoll), std::move(memory.value()), Clock(clock_rate)));
}

Shepherd::~Shepherd() {
  for (auto& [id, child] : children_) {
    if (child.pid == 0) continue;
    kill(id);
    waitpid(child.pid, nullptr, 0);
  }
}

bool Shepherd::start_template() {
  auto started = SessionTemplate::start(memory_, clock_);
  if (started.ok()) {
    template_ = std::move(started.value());
    return true;
  }
  errno = started.error().code;
  return false;
}

bool Shepherd::launch(std::unique_ptr<TunnelSetup> setup) {
  const uint32_t id = setup->id;
  const int tun_fd = setup->options.tun_fd;
  Child child;
  if (template_ != nullptr && prepare_handover(setup.get()) && !spawn(setup.get(), &child)) return false;
  if (child.pid == 0 && !fork_off(std::move(setup), &child)) return false;
  if (!adopt(id, std::move(child))) return false;
  ::close(tun_fd);  // the child has its own
  return true;
}

// false: it failed in a way that leaves no second try; without a process in `child` there is one.
bool Shepherd::spawn(TunnelSetup* setup, Child* child) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return false;
  const io::UniqueFd far(pair[1]);
  io::UniqueFd near(pair[0]);
  if (!send_handover(near.get(), *setup)) return true;  // too long for a message
  const pid_t pid = template_->spawn(far.get(), setup->options.dtls, &child->counters);
  if (pid > 0) {
    child->pid = pid;
    child->channel = std::move(near);
    return true;
  }
  template_.reset();
  if (pid == -ENOSPC) return true;
  template_lost_ = Event();
  template_lost_->type = EventType::template_lost;
  copy_text(template_lost_->detail, sizeof template_lost_->detail, strerror(-pid));
  errno = -pid;
  return pid != -ETIMEDOUT;
}

bool Shepherd::fork_off(std::unique_ptr<TunnelSetup> setup, Child* child) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return false;
  const io::UniqueFd far(pair[1]);
  child->channel.reset(pair[0]);
  child->counters = new_counters();
  if (child->counters == nullptr) return false;
  setup->counters = child->counters.get();
  SessionProcess process;
  process.setup = std::move(setup);
  process.channel = far.get();
  process.clock = clock_;
  process.dtls_contexts = dtls_contexts_;
  // A list of ciphers that is refused is reported by the handshake.
  const DtlsOptions& dtls = process.setup->options.dtls;
  if (dtls.mode != DtlsMode::none) dtls_contexts_->get(dtls.mode, dtls.ciphers);
  process.parent = getpid();
  const TlsStream* tls = process.setup->tls.get();
  auto foreign = memory_.foreign({process.setup.get(), tls, tls->ssl(), child->counters.get()});
  if (!foreign.ok()) {
    errno = foreign.error().code;
    return false;
  }
  process.foreign = std::move(foreign.value());
  BlockSignals blocked;
  child->pid = fork();
  if (child->pid == 0) run_session_process(std::move(process));
  return child->pid > 0;
}

bool Shepherd::adopt(uint32_t id, Child child) {
  child.exit.reset(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.exit || !watch(id, child)) {
    const int error = errno;
    child.channel.reset();  // which ends it
    waitpid(child.pid, nullptr, 0);
    errno = error;
    return false;
  }
  children_.emplace(id, std::move(child));
  return true;
}

bool Shepherd::watch(uint32_t id, const Child& child) {
  return add_watch(epoll_.get(), child.channel.get(), watch_data(id, kChannel)) &&
         add_watch(epoll_.get(), child.exit.get(), watch_data(id, kExit));
}

// A child that has just been forked may hold a copy for a moment, so closing alone does not end the watch.
void Shepherd::close_watched(io::UniqueFd& fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  fd.reset();
}

// A child that does not read its commands is no session any more.
void Shepherd::deliver(const Command& command, const uint8_t* payload, size_t length, int fd) {
  auto found = children_.find(command.id);
  if (found == children_.end() || !found->second.channel) return;
  if (!try_send_command(found->second.channel.get(), command, payload, length, fd) && errno == EAGAIN) kill(command.id);
}

void Shepherd::kill(uint32_t id) {
  auto found = children_.find(id);
  if (found == children_.end() || !found->second.exit) return;
  syscall(SYS_pidfd_send_signal, found->second.exit.get(), SIGKILL, nullptr, 0u);
}

const Counters* Shepherd::counters(uint32_t id) const {
  auto found = children_.find(id);
  return found == children_.end() ? nullptr : found->second.counters.get();
}

pid_t Shepherd::process(uint32_t id) const {
  auto found = children_.find(id);
  return found == children_.end() ? 0 : found->second.pid;
}

bool Shepherd::next_event(Event* event) {
  if (template_lost_) {
    *event = *std::exchange(template_lost_, std::nullopt);
    return true;
  }
  epoll_event ready;
  while (epoll_wait(epoll_.get(), &ready, 1, 0) == 1) {
    const auto id = static_cast<uint32_t>(ready.data.u64 >> 1);
    auto found = children_.find(id);
    if (found == children_.end()) continue;  // cannot be: a watch ends with its descriptor
    Child& child = found->second;
    const bool exited = (ready.data.u64 & kExit) != 0;
    if (exited ? take_exit(id, child, event) : take_event(id, child, event)) return true;
  }
  return false;
}

// true: there is an event to give.
bool Shepherd::take_event(uint32_t id, Child& child, Event* event) {
  const int got = receive_event(child.channel.get(), event, payload_.get());
  if (got == 0) return false;
  if (got > 0 && make_sound(event, id) && child.events.take(1, clock_.now_ns())) {
    if (event->type != EventType::closed) return true;
    child.ended = true;
    close_watched(child.channel);  // without its owner the child's loop stops
    return true;
  }
  // The end of what it has to say, or nothing that a session says.
  if (got > 0) kill(id);
  close_watched(child.channel);
  return false;
}

bool Shepherd::take_exit(uint32_t id, Child& child, Event* event) {
  // Its last words first.
  if (child.channel && take_event(id, child, event)) return true;
  if (child.channel) return false;
  int status = 0;
  if (waitpid(child.pid, &status, WNOHANG) != child.pid) return false;
  child.pid = 0;
  close_watched(child.exit);
  const bool told = child.ended;
  child.ended = true;
  if (told) {
    erase_if_over(id);
    return false;
  }
  *event = Event();
  event->type = EventType::closed;
  event->id = id;
  event->reason = CloseReason::error;
  describe_end(status, event->detail, sizeof event->detail);
  return true;
}

void Shepherd::forget(uint32_t id) {
  auto found = children_.find(id);
  if (found == children_.end()) return;
  found->second.counters.reset();
  erase_if_over(id);
}

void Shepherd::erase_if_over(uint32_t id) {
  auto found = children_.find(id);
  if (found->second.pid == 0 && found->second.counters == nullptr) children_.erase(found);
}

void Shepherd::stop() {
  Command command;
  command.type = CommandType::shutdown;
  for (auto& [id, child] : children_) {
    // One that cannot be told is killed below.
    if (child.channel) try_send_command(child.channel.get(), command, nullptr, 0, -1);
  }
  wait_for_all(kStopMs);
  for (auto& [id, child] : children_) kill(id);
}

void Shepherd::wait_for_all(int milliseconds) {
  const uint64_t end = Clock().now_ms() + static_cast<uint64_t>(milliseconds);
  for (auto& [id, child] : children_) {
    const uint64_t now = Clock().now_ms();
    pollfd exited{child.exit.get(), POLLIN, 0};
    if (child.exit) poll(&exited, 1, now < end ? static_cast<int>(end - now) : 0);
  }
}

}  // namespace ocvpn::dataplane
