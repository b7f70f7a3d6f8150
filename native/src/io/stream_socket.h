// Stream sockets: unix and TCP. All descriptors are non-blocking and close-on-exec.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/address.h"
#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::io {

/// AF_UNIX SOCK_STREAM pair.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// Binds and listens; the path appears with exactly `mode` (never wider, whatever the umask). Errors:
/// EADDRINUSE when the path exists, ENAMETOOLONG over 107 bytes.
Result<UniqueFd> listen_unix(const std::string& path, mode_t mode);

/// EAGAIN when the listener's backlog is full; ECONNREFUSED when nobody listens on the file.
Result<UniqueFd> connect_unix(const std::string& path);

/// SO_REUSEADDR; IPv6 sockets take IPv6 only, so that both families can listen on one port.
Result<UniqueFd> listen_tcp(const std::string& address, uint16_t port, int backlog);

/// TCP_DEFER_ACCEPT: a connection is accepted when its first bytes are there, or after about `seconds` without any.
Status defer_accept(int listener, int seconds);

struct AcceptedSocket {
  UniqueFd fd;
  Endpoint remote;
  Endpoint local;
};

/// nullopt when nothing waits. Connections that died in the queue are skipped. TCP_NODELAY is set.
Result<std::optional<AcceptedSocket>> accept_stream(int listener);

/// Looks whether something has arrived and takes nothing: nullopt when not, false at the end of the stream.
Result<std::optional<bool>> has_bytes(int fd);

/// The peer has closed its side or the connection is broken, whatever still waits to be read.
bool hung_up(int fd);

struct SocketEnds {
  Endpoint remote;
  Endpoint local;
};
Result<SocketEnds> socket_ends(int fd);

/// SO_PEERCRED: the credentials at the peer's connect() or listen().
Result<ucred> peer_credentials(int fd);

/// SO_PEERGROUPS: the supplementary groups of that moment.
Result<std::vector<gid_t>> peer_groups(int fd);

/// From TCP_INFO (linux/tcp.h): the smaller of the path MTU and MSS + IP and TCP headers, bytes.
Result<int> tcp_path_mtu(int fd);

/// ocserv's net-priority: 0 leaves the socket alone, 1..6 are SO_PRIORITY, 0x20..0xff a TOS (IPv6: traffic class)
/// byte; EINVAL for anything else.
Status set_net_priority(int fd, int priority);

}  // namespace ocvpn::io
