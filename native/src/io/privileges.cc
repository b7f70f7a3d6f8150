#include "io/privileges.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>

#include "io/seccomp.h"
#include "io/threads.h"

namespace ocvpn::io {
namespace {

Status change_ids(const PrivilegeRequest& request) {
  // Only a root process has groups to give up and may do so; others were started by somebody who chose theirs.
  if (geteuid() == 0 && (request.lockdown || request.uid) && setgroups(0, nullptr) != 0) {
    return last_error("setgroups");
  }
  if (request.gid && setresgid(*request.gid, *request.gid, *request.gid) != 0) return last_error("setresgid");
  if (request.uid && setresuid(*request.uid, *request.uid, *request.uid) != 0) return last_error("setresuid");
  return Done{};
}

// The bounding set limits what an exec could gain, the securebits what root's uid would mean: nothing.
int close_ways_back(const void*) {
  constexpr unsigned long kBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (prctl(PR_SET_SECUREBITS, kBits, 0, 0, 0) != 0) return errno;
  for (unsigned long capability = 0;; capability++) {
    const int present = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (present < 0) return 0;  // EINVAL: above the kernel's last capability
    if (present == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno;
  }
}

// Otherwise setresuid(2) from root empties the sets of each thread.
int leave_capabilities_alone(const void*) {
  return prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0 ? 0 : errno;
}

Status empty_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return last_error("capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return last_error("prctl PR_CAP_AMBIENT");
  return Done{};
}

// prctl(PR_SET_NO_NEW_PRIVS) is per thread, and libuv's and V8's threads exist already. A filter carries the flag to
// all of them (seccomp(2)); this one allows everything.
Status set_no_new_privs() { return SeccompFilter(SeccompAction::allow()).install(); }

// True when /proc/self/task/<tid>/status shows neither permitted nor effective capabilities. A thread that has
// ended meanwhile has none.
bool thread_is_bare(const char* tid) {
  const std::string path = std::string("/proc/self/task/") + tid + "/status";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "re"), fclose);
  if (file == nullptr) return errno == ENOENT || errno == ESRCH;
  char line[256];
  while (fgets(line, sizeof line, file.get()) != nullptr) {
    uint64_t set = 0;
    if (sscanf(line, "CapPrm: %" SCNx64, &set) == 1 && set != 0) return false;
    if (sscanf(line, "CapEff: %" SCNx64, &set) == 1 && set != 0) return false;
  }
  return true;
}

// setresuid(2)'s wrapper passes over a thread that is about to end, and /proc still shows it for a moment.
bool thread_ends_or_is_bare(const char* tid) {
  constexpr int kLooks = 200;
  constexpr timespec kPause{0, 1000000};
  for (int look = 0; look < kLooks; ++look) {
    if (thread_is_bare(tid)) return true;
    nanosleep(&kPause, nullptr);
  }
  return false;
}

Status verify_threads() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/task"), closedir);
  if (directory == nullptr) return last_error("opendir", "/proc/self/task");
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    if (!thread_ends_or_is_bare(entry->d_name)) return SysError{"capset", EPERM, std::string("thread ") + entry->d_name};
  }
  return Done{};
}

// capset(2) is per thread.
int keep_only(const void* argument) {
  const uint64_t kept = *static_cast<const uint64_t*>(argument);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, sets) != 0) return errno;
  for (unsigned half = 0; half < _LINUX_CAPABILITY_U32S_3; ++half) {
    const auto mask = static_cast<uint32_t>(kept >> (32 * half));
    sets[half].permitted &= mask;
    sets[half].effective &= mask;
    sets[half].inheritable &= mask;
  }
  return syscall(SYS_capset, &header, sets) == 0 ? 0 : errno;
}

Status limit(int resource, const char* name, rlim_t value) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return last_error("getrlimit", name);
  // The hard limit of somebody who started us may be lower already.
  const rlim_t wanted = std::min(value, now.rlim_max);
  const rlimit lower{wanted, wanted};
  return setrlimit(resource, &lower) == 0 ? Status(Done{}) : Status(last_error("setrlimit", name));
}

// Private writable memory of this process and its stack, bytes: the sixth figure of /proc/self/statm, in pages.
Result<uint64_t> data_size() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen("/proc/self/statm", "re"), fclose);
  if (file == nullptr) return last_error("open", "/proc/self/statm");
  uint64_t pages = 0;
  if (fscanf(file.get(), "%*u %*u %*u %*u %*u %" SCNu64, &pages) != 1) return SysError{"read", EIO, "/proc/self/statm"};
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Status drop_privileges(const PrivilegeRequest& request) {
  const uid_t target = request.uid.value_or(geteuid());
  if (request.lockdown && target == 0) return SysError{"setresuid", EINVAL, "lockdown needs another user than root"};
  // Needs CAP_SETPCAP, which goes with the uid.
  if (request.lockdown && geteuid() == 0) {
    const Status closed = in_every_thread(close_ways_back, nullptr);
    if (!closed.ok()) return closed;
  }
  if (request.keeps_capabilities) {
    const Status kept = in_every_thread(leave_capabilities_alone, nullptr);
    if (!kept.ok()) return kept;
  }
  Status status = change_ids(request);
  if (status.ok() && request.lockdown) status = empty_capabilities();
  if (status.ok() && request.lockdown) status = set_no_new_privs();
  // While /proc/self is still ours to read: a non-dumpable process's belongs to root.
  if (status.ok() && request.lockdown) status = verify_threads();
  if (!status.ok()) return status;
  const bool hidden = request.lockdown || request.non_dumpable;
  if (hidden && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return last_error("prctl PR_SET_DUMPABLE");
  // After the change of ids, which clears it (prctl(2)).
  if (request.parent_death_signal != 0 && prctl(PR_SET_PDEATHSIG, request.parent_death_signal, 0, 0, 0) != 0) {
    return last_error("prctl PR_SET_PDEATHSIG");
  }
  return Done{};
}

Status keep_capabilities(uint64_t kept) { return in_every_thread(keep_only, &kept); }

Status limit_resources(uint64_t descriptors) {
  Status status = limit(RLIMIT_NOFILE, "NOFILE", descriptors);
  if (status.ok()) status = limit(RLIMIT_CORE, "CORE", 0);
  if (status.ok()) status = limit(RLIMIT_MSGQUEUE, "MSGQUEUE", 0);
  return status;
}

Status limit_memory(uint64_t more) {
  const Result<uint64_t> used = data_size();
  return used.ok() ? limit(RLIMIT_DATA, "DATA", used.value() + more) : Status(used.error());
}

}  // namespace ocvpn::io
