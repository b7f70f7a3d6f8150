// What the kernel keeps for each thread must be changed in each.
#pragma once

#include "io/result.h"

namespace ocvpn::io {

/// Returns 0, or an errno. Runs inside a signal handler: async-signal-safe calls only.
using ThreadAction = int (*)(const void* argument);

/// Runs `action` in every other thread of this process, one after the other, then in the calling one. Threads that they
/// start inherit what it does. A thread that blocks signals cannot be reached and is left out; Node has one such
/// (its SIGUSR1 watchdog) unless it was started with --disable-sigusr1. Uses SIGRTMAX, which nobody else may use.
/// Needs /proc. ETIMEDOUT when a thread does not answer within a second. One call at a time.
Status in_every_thread(ThreadAction action, const void* argument);

}  // namespace ocvpn::io
