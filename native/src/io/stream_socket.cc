#include "io/stream_socket.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

namespace ocvpn::io {
namespace {

constexpr int kStream = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
// Few peers connect to one process at a time: workers that start together are the largest burst.
constexpr int kUnixBacklog = 1024;

std::optional<SockAddr> unix_address(const std::string& path) {
  SockAddr result;
  auto* un = reinterpret_cast<sockaddr_un*>(&result.storage);
  if (path.empty() || path.size() >= sizeof un->sun_path) return std::nullopt;
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return result;
}

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Failures that concern one queued connection, not the listener (accept(2), "Error handling").
bool is_transient_accept_error(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
  int fds[2];
  if (socketpair(AF_UNIX, kStream, 0, fds) != 0) return last_error("socketpair");
  return std::make_pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<UniqueFd> listen_unix(const std::string& path, mode_t mode) {
  const auto address = unix_address(path);
  if (!address) return SysError{"bind", ENAMETOOLONG, path};
  UniqueFd fd(socket(AF_UNIX, kStream, 0));
  if (!fd) return last_error("socket");
  // The file inherits the socket's own mode, less the umask: closed until chmod gives exactly `mode`.
  if (fchmod(fd.get(), 0) != 0) return last_error("fchmod", path);
  if (bind(fd.get(), address->get(), address->length) != 0) return last_error("bind", path);
  if (chmod(path.c_str(), mode) != 0) {
    SysError error = last_error("chmod", path);
    unlink(path.c_str());
    return error;
  }
  if (listen(fd.get(), kUnixBacklog) != 0) {
    SysError error = last_error("listen", path);
    unlink(path.c_str());
    return error;
  }
  return fd;
}

Result<UniqueFd> connect_unix(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return SysError{"connect", ENAMETOOLONG, path};
  UniqueFd fd(socket(AF_UNIX, kStream, 0));
  if (!fd) return last_error("socket");
  if (connect(fd.get(), address->get(), address->length) != 0) return last_error("connect", path);
  return fd;
}

Result<UniqueFd> listen_tcp(const std::string& address, uint16_t port, int backlog) {
  const auto parsed = parse_endpoint(address, port);
  if (!parsed) return SysError{"bind", EINVAL, address};
  UniqueFd fd(socket(parsed->family(), kStream, 0));
  if (!fd) return last_error("socket", address);
  if (!set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return last_error("setsockopt SO_REUSEADDR");
  if (parsed->family() == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
    return last_error("setsockopt IPV6_V6ONLY");
  }
  if (bind(fd.get(), parsed->get(), parsed->length) != 0) return last_error("bind", describe(address, port));
  if (listen(fd.get(), backlog) != 0) return last_error("listen", describe(address, port));
  return fd;
}

Status defer_accept(int listener, int seconds) {
  if (!set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds)) return last_error("setsockopt TCP_DEFER_ACCEPT");
  return Done{};
}

Result<std::optional<AcceptedSocket>> accept_stream(int listener) {
  for (;;) {
    SockAddr remote;
    UniqueFd fd(accept4(listener, remote.get(), &remote.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<AcceptedSocket>();
      if (is_transient_accept_error(errno)) continue;
      return last_error("accept");
    }
    SockAddr local;
    if (getsockname(fd.get(), local.get(), &local.length) != 0) return last_error("getsockname");
    if (local.family() != AF_UNIX && !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1)) {
      return last_error("setsockopt TCP_NODELAY");
    }
    return std::optional(AcceptedSocket{std::move(fd), format_endpoint(remote), format_endpoint(local)});
  }
}

Result<std::optional<bool>> has_bytes(int fd) {
  char first;
  const ssize_t count = recv(fd, &first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
  if (count >= 0) return std::optional<bool>(count > 0);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::optional<bool>();
  return last_error("recv");
}

bool hung_up(int fd) {
  pollfd look{fd, POLLRDHUP, 0};
  return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

Result<SocketEnds> socket_ends(int fd) {
  SockAddr remote;
  SockAddr local;
  if (getpeername(fd, remote.get(), &remote.length) != 0) return last_error("getpeername");
  if (getsockname(fd, local.get(), &local.length) != 0) return last_error("getsockname");
  return SocketEnds{format_endpoint(remote), format_endpoint(local)};
}

Result<ucred> peer_credentials(int fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return last_error("getsockopt SO_PEERCRED");
  // Not a unix socket: the kernel answers with pid 0 and no ids.
  if (credentials.pid == 0 && credentials.uid == static_cast<uid_t>(-1)) {
    return SysError{"getsockopt SO_PEERCRED", EOPNOTSUPP, {}};
  }
  return credentials;
}

Result<std::vector<gid_t>> peer_groups(int fd) {
  // The kernel answers ERANGE with the size that it needs.
  std::vector<gid_t> groups(64);
  for (;;) {
    auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const bool found = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0;
    if (!found && errno != ERANGE) return last_error("getsockopt SO_PEERGROUPS");
    groups.resize(length / sizeof(gid_t));
    if (found) return groups;
  }
}

Result<int> tcp_path_mtu(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return last_error("getsockopt TCP_INFO");
  SockAddr local;
  if (getsockname(fd, local.get(), &local.length) != 0) return last_error("getsockname");
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&local.storage);
  const bool is_v6 = local.family() == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
  // snd_mss excludes TCP options; the timestamp option (12 bytes with padding) is on in practice on both ends.
  constexpr int kTcpHeader = 20;
  constexpr int kTimestampOption = 12;
  const int options = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0 ? kTimestampOption : 0;
  const int by_mss = static_cast<int>(info.tcpi_snd_mss) + kTcpHeader + options + (is_v6 ? 40 : 20);
  return std::min(static_cast<int>(info.tcpi_pmtu), by_mss);
}

Status set_net_priority(int fd, int priority) {
  if (priority == 0) return Done{};
  if (priority >= 1 && priority <= 6) {
    if (!set_option(fd, SOL_SOCKET, SO_PRIORITY, priority)) return last_error("setsockopt SO_PRIORITY");
    return Done{};
  }
  if (priority < 0x20 || priority > 0xff) return SysError{"setsockopt IP_TOS", EINVAL, std::to_string(priority)};
  SockAddr local;
  if (getsockname(fd, local.get(), &local.length) != 0) return last_error("getsockname");
  const bool v6 = local.family() == AF_INET6;
  if (!set_option(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, priority)) {
    return last_error(v6 ? "setsockopt IPV6_TCLASS" : "setsockopt IP_TOS");
  }
  return Done{};
}

}  // namespace ocvpn::io
