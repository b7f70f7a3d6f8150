// Stacks of the ASYNC jobs in which handshakes run.
#pragma once

namespace ocvpn {

/// Gives OpenSSL stacks with a guard page and room for sanitizers, instead of 32 KiB from the heap where an overflow
/// would hit a neighbour. Call before the first job. Without effect before OpenSSL 3.2, which has no such hook, and
/// when somebody else in the process was first.
void install_job_stacks();

}  // namespace ocvpn
