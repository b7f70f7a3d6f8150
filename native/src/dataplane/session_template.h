// The worker's side of a template: a process that was forked once and of which the processes of sessions are copies. Its
// pages are never written again, so that the copies share them for as long as they live; those of a worker change with
// every login. Nothing secret reaches it: a tunnel passes through the channel of its own process (handover.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "dataplane/clock.h"
#include "dataplane/counters.h"
#include "dataplane/options.h"
#include "io/memory_map.h"
#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::dataplane {

// Counters of one tunnel: a page of its own, so that no process of a session sees another's.
struct CountersUnmap {
  void operator()(Counters* counters) const;
};
using SharedCounters = std::unique_ptr<Counters, CountersUnmap>;

class SessionTemplate {
 public:
  // Sessions of one template, which are as many as a worker serves in its life (POOLED_LOGINS of worker-config.ts): later
  // ones would be forked from the worker.
  static constexpr uint32_t kSessions = 512;

  // Forks it from the calling thread, with the rights that this process has now.
  static io::Result<std::unique_ptr<SessionTemplate>> start(const io::MemoryMap& memory, Clock clock);
  ~SessionTemplate();
  SessionTemplate(const SessionTemplate&) = delete;
  SessionTemplate& operator=(const SessionTemplate&) = delete;

  // Makes a copy that serves the tunnel that waits in `channel`. Its id, this process's child, and its counters; or a
  // negative errno: ENOSPC when all pages are used; ETIMEDOUT when it did not answer, so that a copy may exist all the same.
  // Whatever the error, this template is of no use any more.
  pid_t spawn(int channel, const DtlsOptions& dtls, SharedCounters* counters);

 private:
  SessionTemplate() = default;
  SharedCounters next_page();
  bool wait_for_answer() const;

  pid_t pid_ = 0;
  io::UniqueFd process_;  // pidfd
  io::UniqueFd channel_;
  uint8_t* counters_ = nullptr;  // from next_page_ on ours, those before belong to their sessions
  size_t page_size_ = 0;
  uint32_t next_page_ = 0;
};

}  // namespace ocvpn::dataplane
