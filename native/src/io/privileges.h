// Giving up privileges for good.
#pragma once

#include <sys/types.h>

#include <optional>

#include "io/result.h"

namespace ocvpn::io {

struct PrivilegeRequest {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  bool lockdown = false;
  /// PR_SET_DUMPABLE 0 alone; part of lockdown.
  bool non_dumpable = false;
  /// The change of ids leaves the capability sets as they are, until keep_capabilities(). Not with lockdown.
  bool keeps_capabilities = false;
  /// Signal when the parent dies, 0 for none. The caller compares getppid() afterwards: the parent may be gone.
  int parent_death_signal = 0;
};

/// Changes ids in every thread (glibc's set*id do), then, with `lockdown`: no_new_privs in every thread, not
/// dumpable, no supplementary groups, empty capability sets. EINVAL for lockdown as root: root's threads would
/// keep their capabilities. The change is verified; EPERM when a thread still has capabilities.
Status drop_privileges(const PrivilegeRequest& request);

/// Takes all capabilities from every thread but those of the bits (1 << CAP_*). What is executed later as root has
/// those of its bounding set again.
Status keep_capabilities(uint64_t kept);

/// Lowers the limits of this process for good: so many descriptors, no core file, no POSIX message queues.
Status limit_resources(uint64_t descriptors);

/// Lowers RLIMIT_DATA for good: heap and other private writable memory may grow by `more` bytes from now on.
Status limit_memory(uint64_t more);

}  // namespace ocvpn::io
