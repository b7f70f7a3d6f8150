#include "io/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "io/threads.h"
#include "io/unique_fd.h"

namespace ocvpn::io {
namespace {

// <linux/landlock.h> of the machine that compiles may be older than the kernel that runs this.
struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};
constexpr uint32_t kQueryVersion = 1;
constexpr int kLastFileBit[] = {12, 13, 14, 14, 15};  // by version, from 1: EXECUTE … MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV
constexpr int kNetworkVersion = 4;
constexpr uint64_t kBindAndConnectTcp = 3;
constexpr int kScopeVersion = 6;
constexpr uint64_t kAbstractUnixSocketsAndSignals = 3;

RulesetAttributes everything(int version) {
  constexpr int kKnown = sizeof kLastFileBit / sizeof kLastFileBit[0];
  const int last = kLastFileBit[(version < kKnown ? version : kKnown) - 1];
  RulesetAttributes attributes{};
  attributes.handled_access_fs = (2ULL << last) - 1;
  if (version >= kNetworkVersion) attributes.handled_access_net = kBindAndConnectTcp;
  if (version >= kScopeVersion) attributes.scoped = kAbstractUnixSocketsAndSignals;
  return attributes;
}

/// Older kernels refuse a longer structure than theirs only when the rest is not zero.
UniqueFd create_ruleset(const RulesetAttributes& attributes) {
  return UniqueFd(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
}

int restrict_thread(const void* ruleset) {
  return syscall(SYS_landlock_restrict_self, *static_cast<const int*>(ruleset), 0) == 0 ? 0 : errno;
}

}  // namespace

int landlock_version() {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, kQueryVersion);
  return version < 0 ? 0 : static_cast<int>(version);
}

Status deny_files_and_network() {
  const int version = landlock_version();
  if (version == 0) return Done{};
  const UniqueFd ruleset = create_ruleset(everything(version));
  if (!ruleset) return last_error("landlock_create_ruleset");
  const int fd = ruleset.get();
  return in_every_thread(restrict_thread, &fd);
}

}  // namespace ocvpn::io
