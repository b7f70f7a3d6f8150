// Keeps signals away from the owner's handlers while a thread or a process is made.
#pragma once

#include <signal.h>

namespace ocvpn::dataplane {

// Signals belong to the owner's threads: a thread started with all of them blocked never gets one, and a forked child
// must not run a handler of its parent.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace ocvpn::dataplane
