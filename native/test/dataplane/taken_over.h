// Somebody who runs code in a process of ours: from outside, by ptrace, it is made to make system calls of our choice.
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>

namespace ocvpn::test {

/** Number and arguments of a system call. */
struct Call {
  const char* name;
  long number;
  std::array<unsigned long, 6> arguments{};
};

/** What a process that waits in a system call gets for another one: its result or -errno; nothing: SIGSYS ended it. */
std::optional<long> make_call(pid_t pid, const Call& call);

}  // namespace ocvpn::test
