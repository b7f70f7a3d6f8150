// What a session's process does from its beginning to its end: it keeps one connection, gives back everything else that
// it got from its parent, confines itself and runs the packet loop. It is forked by the worker that has the connection,
// or cloned from a template, a process that the worker forked before its first login and that does nothing else.
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

struct TemplateProcess {
  // Its end of the socket pair with the worker: one `spawn` after the other (session_template.h).
  int channel = -1;
  Clock clock;
  // Shared pages, of which each session keeps one.
  uint8_t* counters = nullptr;
  uint32_t counter_pages = 0;
  pid_t parent = 0;
  std::vector<io::MemoryRange> foreign;
};

// Exit statuses of a session's process.
enum class SessionExit : int { ended = 0, orphaned = 81, no_loop = 82, not_confined = 83, no_tunnel = 84 };

// What the status tells, for the log; null: it is none of ours.
const char* describe_session_exit(int status);

// Runs in the child and never returns. Until it has confined itself it reads nothing from the network.
[[noreturn]] void run_session_process(SessionProcess process);

// The same for a template. It never holds a connection or a key: those wait for its children in their channels.
[[noreturn]] void run_template_process(TemplateProcess process);

}  // namespace ocvpn::dataplane
