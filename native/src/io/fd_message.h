// Bytes with descriptors over a unix socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::io {

/// Descriptors that one message may carry.
constexpr size_t kMaxFds = 8;

/// One sendmsg; the descriptors travel with the first byte and stay open here. Returns the bytes written, 0 when
/// the socket is full (then no descriptor has left either). EINVAL: more than kMaxFds, or descriptors without bytes.
Result<size_t> send_with_fds(int socket, const uint8_t* data, size_t size, const int* fds, size_t fd_count);

struct ReceivedMessage {
  size_t size = 0;
  std::vector<UniqueFd> fds;
  /// More descriptors came than this process has numbers for (RLIMIT_NOFILE); the kernel closed those.
  bool lost_fds = false;
};

/// One recvmsg into `buffer`. nullopt: nothing there; size 0: end of stream. EMSGSIZE when the peer sent more than
/// kMaxFds descriptors: all of them are closed. Received descriptors are close-on-exec.
Result<std::optional<ReceivedMessage>> receive_with_fds(int socket, uint8_t* buffer, size_t capacity);

}  // namespace ocvpn::io
