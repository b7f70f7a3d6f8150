// Which system calls the roles make, with the reason for each: the filters and the tables of docs/permissions.md come from here.
#pragma once

#include <vector>

#include "io/seccomp.h"

namespace ocvpn::io {

/// A system call, perhaps only with one value of an argument.
struct CallRule {
  const char* name;
  int number;
  /// What of it, for people; "" for all of it. Several rules of one call are alternatives.
  const char* only = "";
  bool conditional = false;
  SeccompArgument when = {};
};

struct CallGroup {
  const char* what;
  const char* why;
  std::vector<CallRule> calls;
};

/// All that a worker may do once everything is loaded.
const std::vector<CallGroup>& worker_calls();
/// What secmod never does.
const std::vector<CallGroup>& refused_calls();
/// Refused to secmod unless a back end needs it.
const CallGroup& exec_calls();
const CallGroup& network_calls();

/// Everything but worker_calls() fails with EPERM (clone3 with ENOSYS: the C library then uses clone, whose flags can
/// be seen). clone only without namespaces; signals only to this process itself.
SeccompFilter worker_filter();

struct SecmodNeeds {
  bool exec = false;
  bool network = false;
};
/// refused_calls() fail with EPERM, and so do exec_calls() and network_calls() unless they are needed.
SeccompFilter secmod_filter(const SecmodNeeds& needs);

/// io_uring_setup fails with ENOSYS, as in a kernel without io_uring, here and in what is executed from here. A ring
/// makes its calls past every filter, and libuv opens one at its start if it can.
SeccompFilter no_rings_filter();

}  // namespace ocvpn::io
