#include "dataplane/session_process.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "dataplane/loop.h"
#include "io/seccomp.h"

namespace ocvpn::dataplane {

namespace {

// Larger than the buffers of OpenSSL, which come and go; those of the packet loop stay, and are mostly empty.
constexpr int kOwnMapping = 32 * 1024;

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
bool confine() {
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
  return filter.install().ok();
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
  }
  return nullptr;
}

void run_session_process(SessionProcess process) {
  reset_signals();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != process.parent) leave(SessionExit::orphaned);
  prctl(PR_SET_NAME, "ocvpn-session");
  close_all_but({process.channel, process.setup->tls->fd(), process.setup->options.tun_fd});
  // OpenSSL keeps the stacks of finished jobs for the next one; theirs are among what goes now.
  ASYNC_cleanup_thread();
  ERR_clear_error();
  give_back(process.foreign);
  // Mapped on their own, large buffers fill no holes of the parent's heap, of which each page would be copied.
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  Loop loop(process.channel, process.clock, std::move(process.dtls_contexts));
  if (!loop.ready()) leave(SessionExit::no_loop);
  if (!confine()) leave(SessionExit::not_confined);
  loop.open(std::move(process.setup));
  loop.run();
  leave(SessionExit::ended);
}

}  // namespace ocvpn::dataplane
