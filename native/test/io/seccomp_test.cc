// Filters are for good, so each test puts its own over a forked child and reads what the child found.
#include "io/seccomp.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "support/check.h"

namespace ocvpn::io {
namespace {

constexpr int kNotInstalled = 100;

struct Ending {
  /// -1 when a signal ended it.
  int status;
  int signal;
};

template <typename Body>
Ending in_child(const Body& body) {
  const pid_t child = fork();
  // Past the sanitizer's own end of a process, which needs more system calls than the filters here leave it.
  if (child == 0) syscall(SYS_exit_group, body());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return {-1, 0};
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}

template <typename Body>
Ending in_filtered_child(const SeccompFilter& filter, const Body& body) {
  return in_child([&] { return filter.install().ok() ? body() : kNotInstalled; });
}

/// 0 when the call worked, else its errno.
int error_of(long result) { return result < 0 ? errno : 0; }

TEST(seccomp_denies_what_is_listed_and_allows_the_rest) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EACCES), {SYS_getpriority, SYS_getppid});
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); }).status, EACCES);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getpriority, 0, 0)); }).status, EACCES);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getpid)); }).status, 0);
}

TEST(seccomp_allows_what_is_listed_and_denies_the_rest) {
  SeccompFilter filter(SeccompAction::fail(ENOSYS));
  filter.add(SeccompAction::allow(), {SYS_getppid, SYS_exit_group});
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); }).status, 0);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getpid)); }).status, ENOSYS);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(open("/", O_RDONLY)); }).status, ENOSYS);
}

TEST(seccomp_kills_the_process) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::kill(), {SYS_getppid});
  const Ending ending = in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); });
  CHECK_EQ(ending.signal, SIGSYS);
}

TEST(seccomp_takes_the_first_rule_that_fits) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EPERM), {SYS_getppid}).add(SeccompAction::fail(EIO), {SYS_getppid});
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); }).status, EPERM);
}

TEST(seccomp_looks_at_an_argument) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::allow(), SYS_socket, {0, AF_UNIX})
      .add(SeccompAction::fail(EAFNOSUPPORT), {SYS_socket})
      .add(SeccompAction::fail(EIO), {SYS_getppid});
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(socket(AF_UNIX, SOCK_STREAM, 0)); }).status, 0);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(socket(AF_INET, SOCK_STREAM, 0)); }).status, EAFNOSUPPORT);
  // The rules behind it see the number of the call again.
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); }).status, EIO);
}

TEST(seccomp_leaves_out_the_upper_half_of_an_int) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EAFNOSUPPORT), SYS_socket, {0, AF_INET});
  constexpr long disguised = AF_INET | (1L << 32);
  const Ending ending =
      in_filtered_child(filter, [] { return error_of(syscall(SYS_socket, disguised, SOCK_STREAM, 0)); });
  CHECK_EQ(ending.status, EAFNOSUPPORT);
}

TEST(seccomp_compares_all_of_a_wide_argument) {
  constexpr uint64_t wide = (1ULL << 40) | 8;
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EIO), SYS_lseek, {1, wide, ~0ULL}).add(SeccompAction::fail(EPERM), {SYS_getppid});
  const auto seek_to = [&](uint64_t offset) {
    return in_filtered_child(filter, [offset] { return error_of(syscall(SYS_lseek, -1, offset, SEEK_SET)); }).status;
  };
  CHECK_EQ(seek_to(wide), EIO);
  CHECK_EQ(seek_to(8), EBADF);
  CHECK_EQ(seek_to(wide - 8), EBADF);
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(SYS_getppid)); }).status, EPERM);
}

TEST(seccomp_tests_the_bits_of_the_mask_alone) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EIO), SYS_lseek, {1, 0x10, 0x10});
  const auto seek_to = [&](uint64_t offset) {
    return in_filtered_child(filter, [offset] { return error_of(syscall(SYS_lseek, -1, offset, SEEK_SET)); }).status;
  };
  CHECK_EQ(seek_to(0x31), EIO);
  CHECK_EQ(seek_to(0x2f), EBADF);
}

TEST(seccomp_reaches_threads_that_are_there_already) {
  SeccompFilter filter(SeccompAction::allow());
  filter.add(SeccompAction::fail(EACCES), {SYS_getppid});
  const Ending ending = in_child([&] {
    std::atomic<bool> installed{false};
    int found = kNotInstalled;
    std::thread other([&] {
      while (!installed) std::this_thread::yield();
      found = error_of(syscall(SYS_getppid));
    });
    const bool ok = filter.install().ok();
    installed = true;
    other.join();
    return ok ? found : kNotInstalled;
  });
  CHECK_EQ(ending.status, EACCES);
}

TEST(seccomp_says_when_a_thread_cannot_follow) {
  const Ending ending = in_child([] {
    std::atomic<int> stage{0};
    std::thread other([&] {
      sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
      const sock_fprog own{1, &allow};
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &own);
      stage = 1;
      while (stage != 2) std::this_thread::yield();
    });
    while (stage != 1) std::this_thread::yield();
    const Status status = SeccompFilter(SeccompAction::allow()).install();
    stage = 2;
    other.join();
    return status.ok() ? 0 : status.error().code;
  });
  CHECK_EQ(ending.status, EPERM);
}

TEST(seccomp_comes_with_no_new_privs) {
  const SeccompFilter filter(SeccompAction::allow());
  CHECK_EQ(in_filtered_child(filter, [] { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }).status, 1);
}

TEST(seccomp_cannot_be_widened) {
  SeccompFilter narrow(SeccompAction::allow());
  narrow.add(SeccompAction::fail(EACCES), {SYS_getppid});
  const SeccompFilter wide(SeccompAction::allow());
  const Ending ending = in_filtered_child(
      narrow, [&] { return wide.install().ok() ? error_of(syscall(SYS_getppid)) : kNotInstalled; });
  CHECK_EQ(ending.status, EACCES);
}

TEST(seccomp_refuses_a_filter_that_the_kernel_would_not_take) {
  SeccompFilter filter(SeccompAction::allow());
  for (int i = 0; i < BPF_MAXINSNS / 2; ++i) filter.add(SeccompAction::fail(EIO), {SYS_getppid});
  const Status status = filter.install();
  REQUIRE(!status.ok());
  CHECK_EQ(status.error().code, EINVAL);
}

#if defined(__x86_64__)
TEST(seccomp_closes_the_other_calling_conventions) {
  const SeccompFilter filter(SeccompAction::allow());
  constexpr long x32_getppid = 0x40000000L | SYS_getppid;
  CHECK_EQ(in_filtered_child(filter, [] { return error_of(syscall(x32_getppid)); }).signal, SIGSYS);
  const Ending i386 = in_filtered_child(filter, [] {
    long result = 64;  // getppid of i386
    asm volatile("int $0x80" : "+a"(result) : : "memory");
    return 0;
  });
  // SIGSEGV from a kernel without that door.
  CHECK(i386.signal == SIGSYS || i386.signal == SIGSEGV);
}
#endif

}  // namespace
}  // namespace ocvpn::io
