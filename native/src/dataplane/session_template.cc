#include "dataplane/session_template.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>
#include <vector>

#include "dataplane/block_signals.h"
#include "dataplane/messages.h"
#include "dataplane/session_process.h"

namespace ocvpn::dataplane {

namespace {

// A clone takes less than a millisecond; a template that takes this long is stuck.
constexpr int kSpawnMs = 5000;

}  // namespace

void CountersUnmap::operator()(Counters* counters) const { munmap(counters, sizeof *counters); }

io::Result<std::unique_ptr<SessionTemplate>> SessionTemplate::start(const io::MemoryMap& memory, Clock clock) {
  std::unique_ptr<SessionTemplate> made(new SessionTemplate());
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return io::last_error("socketpair");
  made->channel_.reset(pair[0]);
  const io::UniqueFd far(pair[1]);
  made->page_size_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* pages = mmap(nullptr, kSessions * made->page_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return io::last_error("mmap");
  made->counters_ = static_cast<uint8_t*>(pages);
  TemplateProcess process;
  process.channel = far.get();
  process.clock = clock;
  process.counters = made->counters_;
  process.counter_pages = kSessions;
  process.parent = getpid();
  auto foreign = memory.foreign({pages});
  if (!foreign.ok()) return foreign.error();
  process.foreign = std::move(foreign.value());
  {
    BlockSignals blocked;
    made->pid_ = fork();
    if (made->pid_ == 0) run_template_process(std::move(process));
  }
  if (made->pid_ < 0) return io::last_error("fork");
  made->process_.reset(static_cast<int>(syscall(SYS_pidfd_open, made->pid_, 0)));
  if (!made->process_) return io::last_error("pidfd_open");
  return made;
}

SessionTemplate::~SessionTemplate() {
  const uint32_t left = kSessions - next_page_;
  if (counters_ != nullptr && left > 0) munmap(counters_ + next_page_ * page_size_, left * page_size_);
  if (pid_ <= 0) return;
  // It has nothing to end; its sessions are not its children.
  if (process_) syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0u);
  channel_.reset();
  waitpid(pid_, nullptr, 0);
}

SharedCounters SessionTemplate::next_page() {
  return SharedCounters(new (counters_ + next_page_++ * page_size_) Counters());
}

bool SessionTemplate::wait_for_answer() const {
  const uint64_t end = Clock().now_ms() + kSpawnMs;
  for (;;) {
    const uint64_t now = Clock().now_ms();
    pollfd answered{channel_.get(), POLLIN, 0};
    const int ready = poll(&answered, 1, now < end ? static_cast<int>(end - now) : 0);
    if (ready >= 0 || errno != EINTR) return ready == 1;
  }
}

pid_t SessionTemplate::spawn(int channel, const DtlsOptions& dtls, SharedCounters* counters) {
  if (next_page_ == kSessions) return -ENOSPC;
  std::vector<uint8_t> contexts;
  if (dtls.mode != DtlsMode::none) {
    contexts.push_back(static_cast<uint8_t>(dtls.mode));
    contexts.insert(contexts.end(), dtls.ciphers.begin(), dtls.ciphers.end());
  }
  Command command;
  command.type = CommandType::spawn;
  command.id = next_page_;
  SharedCounters page = next_page();
  if (!try_send_command(channel_.get(), command, contexts.data(), contexts.size(), channel)) return -errno;
  int32_t answer = 0;
  if (!wait_for_answer() || recv(channel_.get(), &answer, sizeof answer, MSG_DONTWAIT) != sizeof answer) {
    return -ETIMEDOUT;
  }
  if (answer > 0) *counters = std::move(page);
  return answer;
}

}  // namespace ocvpn::dataplane
