#include "io/call_rules.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ocvpn::io {
namespace {

#define CALL(name) \
  CallRule { #name, SYS_##name }
#define CALL_WHEN(name, only, ...) \
  CallRule { #name, SYS_##name, only, true, SeccompArgument __VA_ARGS__ }
// Calls that only older architectures still have; newer ones are beside them in the lists.
#if defined(__x86_64__)
#define OLD_CALL(name) CALL(name),
#else
#define OLD_CALL(name)
#endif

constexpr unsigned long kNameMemory = 0x53564d41;  // PR_SET_VMA

constexpr uint64_t kNamespaces[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
                                    CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};

void allow_all(SeccompFilter& filter, const CallGroup& group) {
  for (const CallRule& call : group.calls) {
    if (call.conditional) filter.add(SeccompAction::allow(), call.number, call.when);
    if (!call.conditional) filter.add(SeccompAction::allow(), {call.number});
  }
}

void refuse_all(SeccompFilter& filter, const CallGroup& group) {
  for (const CallRule& call : group.calls) {
    if (call.conditional) filter.add(SeccompAction::fail(EPERM), call.number, call.when);
    if (!call.conditional) filter.add(SeccompAction::fail(EPERM), {call.number});
  }
}

}  // namespace

const std::vector<CallGroup>& worker_calls() {
  static const std::vector<CallGroup> groups = {
      {"memory",
       "V8's heap and compiled code (guarded by protection keys where the processor has them), buffers of TLS and packets.",
       {CALL(brk), CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(membarrier),
        CALL(pkey_mprotect), CALL(pkey_alloc), CALL(pkey_free)}},
      {"threads",
       "Threads of V8, libuv and the packet loop, and their locks. Without namespaces: clone with one of their flags fails.",
       {CALL(clone), OLD_CALL(fork) CALL(futex), CALL(set_robust_list), CALL(rseq), CALL(set_tid_address), CALL(gettid),
        CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_getparam), CALL(sched_getscheduler), CALL(exit),
        CALL(exit_group), CALL_WHEN(prctl, "PR_SET_NAME", {0, PR_SET_NAME}),
        CALL_WHEN(prctl, "PR_SET_VMA", {0, kNameMemory})}},
      {"less than this",
       "A process that a worker forks for one session narrows its own rights further and ends with its parent, which sees its end "
       "and can end it by its pidfd.",
       {CALL(seccomp), CALL_WHEN(prctl, "PR_SET_NO_NEW_PRIVS", {0, PR_SET_NO_NEW_PRIVS}),
        CALL_WHEN(prctl, "PR_SET_PDEATHSIG", {0, PR_SET_PDEATHSIG}), CALL(wait4), CALL(waitid), CALL(close_range),
        CALL(pidfd_open), CALL(pidfd_send_signal)}},
      {"signals", "Handlers, also those of a crash. No signal can be sent but to threads of this process.",
       {CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait), CALL(sigaltstack),
        CALL(restart_syscall)}},
      {"facts", "Who and where it is, how much it used. Limits can be read and lowered for this process only.",
       {CALL(getpid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getrusage),
        CALL(sysinfo), CALL(uname), CALL_WHEN(prlimit64, "this process", {0, 0})}},
      {"waiting", "The event loops of libuv and of the packets, their wake-ups, clocks and random numbers.",
       {CALL(epoll_create1), CALL(epoll_ctl), OLD_CALL(epoll_wait) CALL(epoll_pwait), CALL(epoll_pwait2),
        OLD_CALL(poll) CALL(ppoll), OLD_CALL(select) CALL(pselect6), CALL(eventfd2), CALL(pipe2), CALL(timerfd_create),
        CALL(timerfd_settime), CALL(timerfd_gettime), CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime),
        CALL(clock_getres), CALL(gettimeofday), OLD_CALL(time) CALL(getrandom)}},
      {"open descriptors", "Tun device, sockets, log. None of these opens anything.",
       {CALL(read), CALL(readv), CALL(write), CALL(writev), CALL(close), CALL(fstat), CALL(lseek), CALL(dup), CALL(dup3),
        CALL_WHEN(fcntl, "F_GETFL", {1, F_GETFL}), CALL_WHEN(fcntl, "F_SETFL", {1, F_SETFL}),
        CALL_WHEN(fcntl, "F_GETFD", {1, F_GETFD}), CALL_WHEN(fcntl, "F_SETFD", {1, F_SETFD}),
        CALL_WHEN(fcntl, "F_DUPFD_CLOEXEC", {1, F_DUPFD_CLOEXEC}), CALL_WHEN(ioctl, "FIONBIO", {1, FIONBIO}),
        CALL_WHEN(ioctl, "FIONREAD", {1, FIONREAD}), CALL_WHEN(ioctl, "TCGETS", {1, TCGETS})}},
      {"given sockets", "The client's TCP and UDP connections, the channels to main and secmod.",
       {CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(sendto), CALL(sendmsg), CALL(sendmmsg), CALL(getsockopt),
        CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown)}},
      {"new sockets", "To main and secmod again after one of them was restarted. No other family, no bind, listen or accept.",
       {CALL_WHEN(socket, "AF_UNIX", {0, AF_UNIX}), CALL_WHEN(socketpair, "AF_UNIX", {0, AF_UNIX}), CALL(connect)}},
  };
  return groups;
}

const std::vector<CallGroup>& refused_calls() {
  static const std::vector<CallGroup> groups = {
      {"other processes", "Reading and steering the memory of others is how secrets would leave them.",
       {CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise), CALL(pidfd_getfd), CALL(kcmp)}},
      {"kernel", "Large parts of the kernel that nothing here uses and that had many holes.",
       {CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(init_module), CALL(finit_module), CALL(delete_module),
        CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon), CALL(swapoff), CALL(quotactl),
        CALL(settimeofday), CALL(clock_settime), CALL(adjtimex), CALL(clock_adjtime), CALL(acct), CALL(vhangup)}},
      {"file systems", "What is mounted is the administrator's business.",
       {CALL(mount), CALL(umount2), CALL(pivot_root), CALL(move_mount), CALL(open_tree), CALL(fsopen), CALL(fsconfig),
        CALL(fsmount), CALL(fspick), CALL(mount_setattr), CALL(chroot), CALL(name_to_handle_at), CALL(open_by_handle_at)}},
      {"namespaces", "Nothing here lives in a namespace that it made.", {CALL(unshare), CALL(setns)}},
  };
  return groups;
}

const CallGroup& exec_calls() {
  static const CallGroup group = {
      "programs", "Only back ends that say so start other programs (PAM modules).", {CALL(execve), CALL(execveat)}};
  return group;
}

const CallGroup& network_calls() {
  static const CallGroup group = {
      "network",
      "Only back ends that say so ask a server (RADIUS, PAM modules).",
      {CALL_WHEN(socket, "AF_INET", {0, AF_INET}), CALL_WHEN(socket, "AF_INET6", {0, AF_INET6}),
       CALL_WHEN(socket, "AF_PACKET", {0, AF_PACKET})}};
  return group;
}

SeccompFilter worker_filter() {
  SeccompFilter filter(SeccompAction::fail(EPERM));
  for (const uint64_t flag : kNamespaces) filter.add(SeccompAction::fail(EPERM), SYS_clone, {0, flag, flag});
  filter.add(SeccompAction::fail(ENOSYS), {SYS_clone3});
  filter.add(SeccompAction::allow(), SYS_tgkill, {0, static_cast<uint64_t>(getpid())});
  for (const CallGroup& group : worker_calls()) allow_all(filter, group);
  return filter;
}

SeccompFilter secmod_filter(const SecmodNeeds& needs) {
  SeccompFilter filter(SeccompAction::allow());
  for (const CallGroup& group : refused_calls()) refuse_all(filter, group);
  if (!needs.exec) refuse_all(filter, exec_calls());
  if (!needs.network) refuse_all(filter, network_calls());
  return filter;
}

SeccompFilter no_rings_filter() {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(ENOSYS), {SYS_io_uring_setup});
  return filter;
}

}  // namespace ocvpn::io
