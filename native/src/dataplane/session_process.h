// What a forked child does from the fork to its end: it keeps one connection, gives back everything else that it got
// from its parent, confines itself and runs the packet loop.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "dataplane/clock.h"
#include "dataplane/dtls_context.h"
#include "dataplane/setup.h"
#include "io/memory_map.h"

namespace ocvpn::dataplane {

struct SessionProcess {
  std::unique_ptr<TunnelSetup> setup;
  // The loop's end of the socket pair.
  int channel = -1;
  Clock clock;
  // With the session's context already in it: making one costs the child time and memory.
  std::shared_ptr<DtlsContexts> dtls_contexts;
  pid_t parent = 0;
  std::vector<io::MemoryRange> foreign;
};

// Exit statuses of a session's process.
enum class SessionExit : int { ended = 0, orphaned = 81, no_loop = 82, not_confined = 83 };

// What the status tells, for the log; null: it is none of ours.
const char* describe_session_exit(int status);

// Runs in the child and never returns. Until it has confined itself it reads nothing from the network.
[[noreturn]] void run_session_process(SessionProcess process);

}  // namespace ocvpn::dataplane
