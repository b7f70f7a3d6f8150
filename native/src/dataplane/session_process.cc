#include "dataplane/session_process.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <utility>

#include "dataplane/handover.h"
#include "dataplane/loop.h"
#include "io/seccomp.h"

namespace ocvpn::dataplane {

namespace {

// Larger than the buffers of OpenSSL, which come and go; those of the packet loop stay, and are mostly empty.
constexpr int kOwnMapping = 32 * 1024;
// glibc's chunks on 64-bit machines.
constexpr size_t kSmallestChunk = 24;
constexpr size_t kChunkStep = 16;
// Up to here each size has a list of its own (malloc's small bins).
constexpr size_t kFineSteps = 1024;

// As by fork(), but the parent is the template's parent.
constexpr unsigned long kCloneFlags = CLONE_PARENT | SIGCHLD;
constexpr const char* kSessionName = "ocvpn-session";

[[noreturn]] void leave(SessionExit how) {
  // The parent's atexit handlers are not this process's business.
  _exit(static_cast<int>(how));
}

// Handlers point into code of the parent that expects its threads. All signals are blocked until here.
void reset_signals() {
  struct sigaction action {};
  for (int number = 1; number < NSIG; ++number) {
    const bool ignored = number == SIGPIPE || number == SIGHUP || number == SIGINT;
    action.sa_handler = ignored ? SIG_IGN : SIG_DFL;
    sigaction(number, &action, nullptr);  // EINVAL for SIGKILL, SIGSTOP and those that the C library keeps
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Standard input, output and error stay: they are the log of a process that aborts.
void close_all_but(std::initializer_list<int> kept) {
  std::vector<unsigned> fds(kept.begin(), kept.end());
  std::sort(fds.begin(), fds.end());
  unsigned from = STDERR_FILENO + 1;
  for (const unsigned fd : fds) {
    if (fd > from) syscall(SYS_close_range, from, fd - 1, 0u);
    from = std::max(from, fd + 1);
  }
  syscall(SYS_close_range, from, ~0u, 0u);
}

void give_back(const std::vector<io::MemoryRange>& ranges) {
#if !defined(__SANITIZE_ADDRESS__)  // whose own tables are such mappings
  for (const io::MemoryRange& range : ranges) munmap(reinterpret_cast<void*>(range.start), range.end - range.start);
#endif
}

// The packet loop's system calls; everything else kills the process. No path, no new socket, no other process, no new
// code can be reached with them.
io::SeccompFilter session_filter() {
#if defined(__SANITIZE_ADDRESS__)  // whose reports make calls that can be refused, but must not end them
  io::SeccompFilter filter(io::SeccompAction::fail(EPERM));
#else
  io::SeccompFilter filter(io::SeccompAction::kill());
#endif
  const io::SeccompAction allow = io::SeccompAction::allow();
  // Packets and commands.
  filter.add(allow, {SYS_read, SYS_write, SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_recvmmsg, SYS_sendmmsg,
                     SYS_epoll_pwait, SYS_epoll_ctl, SYS_epoll_pwait2, SYS_close, SYS_shutdown, SYS_getsockopt, SYS_setsockopt});
#ifdef SYS_epoll_wait
  filter.add(allow, {SYS_epoll_wait});
#endif
  // A tun that must not block, and a second DTLS handshake on the same address (Session::offer_to_pending).
  for (const int command : {F_GETFL, F_SETFL, F_DUPFD_CLOEXEC}) filter.add(allow, SYS_fcntl, {1, static_cast<uint64_t>(command)});
  // malloc, locks, OpenSSL's random generator and clocks.
  filter.add(allow, {SYS_brk, SYS_munmap, SYS_madvise, SYS_mremap, SYS_futex, SYS_getrandom, SYS_clock_gettime, SYS_clock_nanosleep,
                     SYS_getpid, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall});
  // OpenSSL's jobs change their stacks with swapcontext(3), which saves the mask.
  filter.add(allow, {SYS_rt_sigprocmask});
  filter.add(allow, SYS_mmap, {2, 0, PROT_EXEC});
  filter.add(allow, SYS_mprotect, {2, 0, PROT_EXEC});
#if defined(__SANITIZE_ADDRESS__)
  filter.add(allow, {SYS_pipe2, SYS_sigaltstack});  // how it asks whether an address may be read, and where the stack is
#endif
  return filter;
}

// What a template needs besides: to wait, to make a copy of itself, and what the copy does until it is a session and
// has lost all of this again.
io::SeccompFilter template_filter() {
  io::SeccompFilter filter = session_filter();
  const io::SeccompAction allow = io::SeccompAction::allow();
  filter.add(allow, SYS_clone, {0, kCloneFlags});
  filter.add(allow, {SYS_ppoll, SYS_getppid, SYS_epoll_create1, SYS_seccomp});
#ifdef SYS_poll
  filter.add(allow, {SYS_poll});
#endif
  for (const int option : {PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_NO_NEW_PRIVS}) {
    filter.add(allow, SYS_prctl, {0, static_cast<uint64_t>(option)});
  }
  return filter;
}

// Ends with the parent, from now on.
void begin(const char* name, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) leave(SessionExit::orphaned);
  prctl(PR_SET_NAME, name);
}

void be_alone(std::initializer_list<int> kept_fds, const std::vector<io::MemoryRange>& foreign) {
  close_all_but(kept_fds);
  // OpenSSL keeps the stacks of finished jobs for the next one; theirs are among what goes now.
  ASYNC_cleanup_thread();
  ERR_clear_error();
  give_back(foreign);
  // Mapped on their own, large buffers fill no holes of the parent's heap, of which each page would be copied.
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);
}

[[noreturn]] void serve(Loop& loop, std::unique_ptr<TunnelSetup> setup) {
  loop.open(std::move(setup));
  loop.run();
  leave(SessionExit::ended);
}

// Takes what malloc has in the middle of the heap, so that children write to pages at its end alone, next to each
// other, and share the rest with the template for good.
void use_up_heap() {
#if !defined(__SANITIZE_ADDRESS__)
  const auto end = reinterpret_cast<uintptr_t>(sbrk(0)) - mallinfo2().keepcost;
  for (size_t size = kOwnMapping / 2; size >= kSmallestChunk; size = size > kFineSteps ? size / 2 : size - kChunkStep) {
    void* chunk = malloc(size);
    while (chunk != nullptr && reinterpret_cast<uintptr_t>(chunk) < end) chunk = malloc(size);
    free(chunk);
  }
#endif
}

[[noreturn]] void run_copy(const TemplateProcess& process, int channel, uint32_t page,
                           std::shared_ptr<DtlsContexts> contexts) {
  begin(kSessionName, process.parent);
  close(process.channel);
  const auto page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  uint8_t* const own = process.counters + page * page_size;
  munmap(process.counters, page * page_size);
  munmap(own + page_size, (process.counter_pages - page - 1) * page_size);
  Loop loop(channel, process.clock, std::move(contexts));
  if (!loop.ready()) leave(SessionExit::no_loop);
  if (!session_filter().install().ok()) leave(SessionExit::not_confined);
  auto setup = receive_handover(channel, reinterpret_cast<Counters*>(own));
  if (setup == nullptr) leave(SessionExit::no_tunnel);
  serve(loop, std::move(setup));
}

// Answers one `spawn` with the child's id, or the negative errno.
void spawn(const TemplateProcess& process, const Command& command, const uint8_t* payload, int channel,
           const std::shared_ptr<DtlsContexts>& contexts) {
  int32_t answer = -EINVAL;
  if (command.type == CommandType::spawn && channel >= 0 && command.id < process.counter_pages) {
    if (command.payload_length > 0) {
      const auto mode = static_cast<DtlsMode>(payload[0]);
      // A list of ciphers that is refused is reported by the handshake.
      contexts->get(mode, std::string(payload + 1, payload + command.payload_length));
    }
    // The worker's child as those that it forks. No C library's fork(): there is no other thread whose locks matter.
    const long pid = syscall(SYS_clone, kCloneFlags, 0, 0, 0, 0);
    if (pid == 0) run_copy(process, channel, command.id, contexts);
    answer = static_cast<int32_t>(pid < 0 ? -errno : pid);
  }
  if (channel >= 0) close(channel);
  send(process.channel, &answer, sizeof answer, MSG_NOSIGNAL);
}

}  // namespace

const char* describe_session_exit(int status) {
  switch (static_cast<SessionExit>(status)) {
    case SessionExit::ended:
      return "the session's process ended without a word";
    case SessionExit::orphaned:
      return "the worker ended while the session's process began";
    case SessionExit::no_loop:
      return "the session's process has no memory for its buffers";
    case SessionExit::not_confined:
      return "the session's process could not be confined (seccomp)";
    case SessionExit::no_tunnel:
      return "the session's process was not given its tunnel";
  }
  return nullptr;
}

void run_session_process(SessionProcess process) {
  reset_signals();
  begin(kSessionName, process.parent);
  be_alone({process.channel, process.setup->tls->fd(), process.setup->options.tun_fd}, process.foreign);
  Loop loop(process.channel, process.clock, std::move(process.dtls_contexts));
  if (!loop.ready()) leave(SessionExit::no_loop);
  if (!session_filter().install().ok()) leave(SessionExit::not_confined);
  serve(loop, std::move(process.setup));
}

void run_template_process(TemplateProcess process) {
  reset_signals();
  begin("ocvpn-template", process.parent);
  be_alone({process.channel}, process.foreign);
  const auto contexts = std::make_shared<DtlsContexts>();
  const std::unique_ptr<uint8_t[]> payload(new uint8_t[kMaxPayload]);
  if (!template_filter().install().ok()) leave(SessionExit::not_confined);
  use_up_heap();
  pollfd waiting{process.channel, POLLIN, 0};
  for (;;) {
    if (poll(&waiting, 1, -1) < 0) continue;  // EINTR: a debugger or a stray signal
    Command command;
    int fd = -1;
    const int got = receive_command(process.channel, &command, payload.get(), &fd);
    if (got < 0) leave(SessionExit::ended);
    if (got > 0) spawn(process, command, payload.get(), fd, contexts);
  }
}

}  // namespace ocvpn::dataplane
