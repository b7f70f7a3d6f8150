// What a service manager (systemd, s6, a supervisor of a test) and its services pass each other: listening sockets
// that it opened for us, and status messages to it (sd_listen_fds(3), sd_notify(3)).
#pragma once

#include <string>

#include "io/address.h"
#include "io/result.h"

namespace ocvpn::io {

enum class SocketKind { kTcpListener, kUdp, kOther };

struct InheritedSocket {
  SocketKind kind = SocketKind::kOther;
  /// Where it is bound; empty unless it is an IPv4 or IPv6 socket.
  Endpoint local;
};

/// Makes an inherited socket like those of listen_tcp and bind_udp: non-blocking, close-on-exec, UDP with packet info
/// and SO_REUSEADDR. ENOTSOCK when the descriptor is something else.
Result<InheritedSocket> adopt_socket(int fd);

/// One datagram to the unix socket `path`; a leading '@' stands for the abstract namespace. Never blocks: EAGAIN when
/// the receiver's queue is full.
Status send_to_unix(const std::string& path, const std::string& text);

}  // namespace ocvpn::io
