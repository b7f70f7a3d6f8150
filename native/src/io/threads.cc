#include "io/threads.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ocvpn::io {
namespace {

/// What the handler does next; one thread at a time.
struct Errand {
  ThreadAction action = nullptr;
  const void* argument = nullptr;
  std::atomic<bool> done{false};
  std::atomic<int> error{0};
};
Errand errand;

void run_errand(int) {
  const int saved = errno;
  errand.error = errand.action(errand.argument);
  errand.done = true;
  errno = saved;
}

/// The handler is there for as long as this object.
class Handler {
 public:
  Handler() {
    struct sigaction ours = {};
    ours.sa_handler = run_errand;
    ours.sa_flags = SA_RESTART;
    installed_ = sigaction(SIGRTMAX, &ours, &before_) == 0;
  }
  ~Handler() {
    if (installed_) sigaction(SIGRTMAX, &before_, nullptr);
  }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  bool installed() const { return installed_; }

 private:
  struct sigaction before_ = {};
  bool installed_ = false;
};

Result<std::vector<pid_t>> list_threads() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/task"), closedir);
  if (directory == nullptr) return last_error("opendir", "/proc/self/task");
  std::vector<pid_t> threads;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') threads.push_back(static_cast<pid_t>(strtol(entry->d_name, nullptr, 10)));
  }
  return threads;
}

bool takes_signal(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/status";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "re"), fclose);
  if (file == nullptr) return false;  // it has ended
  char line[256];
  while (fgets(line, sizeof line, file.get()) != nullptr) {
    uint64_t blocked = 0;
    if (sscanf(line, "SigBlk: %" SCNx64, &blocked) == 1) return (blocked >> (SIGRTMAX - 1) & 1) == 0;
  }
  return false;
}

bool send_signal(pid_t thread, int signal) { return syscall(SYS_tgkill, getpid(), thread, signal) == 0; }

Status run_in(pid_t thread) {
  constexpr int kLooks = 10'000;
  constexpr timespec kPause{0, 100'000};
  errand.done = false;
  if (!send_signal(thread, SIGRTMAX)) return errno == ESRCH ? Status(Done{}) : Status(last_error("tgkill"));
  for (int look = 0; look < kLooks && !errand.done; ++look) {
    nanosleep(&kPause, nullptr);
    if (!errand.done && !send_signal(thread, 0) && errno == ESRCH) return Done{};
  }
  if (!errand.done) return SysError{"tgkill", ETIMEDOUT, "thread " + std::to_string(thread)};
  if (errand.error != 0) return SysError{"tgkill", errand.error, "thread " + std::to_string(thread)};
  return Done{};
}

}  // namespace

Status in_every_thread(ThreadAction action, const void* argument) {
  const Handler handler;
  if (!handler.installed()) return last_error("sigaction");
  errand.action = action;
  errand.argument = argument;
  std::set<pid_t> seen{static_cast<pid_t>(syscall(SYS_gettid))};
  // A thread that was not asked yet may have started another.
  for (bool found = true; found;) {
    found = false;
    const auto threads = list_threads();
    if (!threads.ok()) return threads.error();
    for (const pid_t thread : threads.value()) {
      if (!seen.insert(thread).second) continue;
      found = true;
      if (!takes_signal(thread)) continue;
      const Status status = run_in(thread);
      if (!status.ok()) return status;
    }
  }
  const int error = action(argument);
  if (error != 0) return SysError{"in_every_thread", error, "calling thread"};
  return Done{};
}

}  // namespace ocvpn::io
