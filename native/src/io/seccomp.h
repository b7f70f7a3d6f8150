// Limits on the system calls of this process (seccomp(2), filter mode).
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "io/result.h"

namespace ocvpn::io {

/// What happens to a system call.
class SeccompAction {
 public:
  static SeccompAction allow();
  /// The call fails with this errno and does nothing.
  static SeccompAction fail(int error);
  /// The whole process ends with SIGSYS.
  static SeccompAction kill();

  uint32_t value() const { return value_; }

 private:
  explicit SeccompAction(uint32_t value) : value_(value) {}

  uint32_t value_;
};

/// True when `argument & mask` is `value`. The kernel takes only the lower half of an argument that is an int: the
/// default mask for those leaves the upper one out, where a caller could write anything.
struct SeccompArgument {
  static constexpr uint64_t kInt = 0xffffffff;

  /// 0..5
  unsigned index;
  uint64_t value;
  uint64_t mask = kInt;
};

/// A filter under construction. Rules are tried in the order in which they were added and the first that fits decides,
/// else the action that the constructor got. Calls in another ABI than the process's own (i386, x32) always kill it:
/// their numbers mean something else.
///
/// A rule costs the calls behind it one comparison; since Linux 5.11 calls that are always allowed cost nothing.
class SeccompFilter {
 public:
  explicit SeccompFilter(SeccompAction otherwise);

  /// `calls` are numbers of <sys/syscall.h>.
  SeccompFilter& add(SeccompAction action, std::initializer_list<int> calls);
  /// The rule fits only when the argument does.
  SeccompFilter& add(SeccompAction action, int call, SeccompArgument when);

  /// Sets no_new_privs and puts the filter over every thread, for good; later filters can only narrow it. What is
  /// executed later inherits it. Allocates nothing unless it fails, so that a forked child may call it. EINVAL above the
  /// kernel's 4096 instructions; EPERM when a thread has a filter of its own.
  Status install() const;
  /// Without no_new_privs, so that programs can still gain privileges; EACCES without CAP_SYS_ADMIN.
  Status install_with_privileges() const;

 private:
  void push(const sock_filter& instruction);

  /// Always complete: the last instruction returns the action for everything else.
  std::vector<sock_filter> program_;
};

}  // namespace ocvpn::io
