#include "io/service_manager.h"

#include <fcntl.h>
#include <sys/un.h>

#include <cstring>

#include "io/udp_socket.h"
#include "io/unique_fd.h"

namespace ocvpn::io {
namespace {

bool is_ip(int family) { return family == AF_INET || family == AF_INET6; }

Result<int> int_option(int fd, int name, const char* what) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, name, &value, &length) != 0) return last_error(what);
  return value;
}

Status make_ours(int fd) {
  const int status = fcntl(fd, F_GETFL);
  if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0) return last_error("fcntl F_SETFL");
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return last_error("fcntl F_SETFD");
  return Done{};
}

}  // namespace

Result<InheritedSocket> adopt_socket(int fd) {
  const auto type = int_option(fd, SO_TYPE, "getsockopt SO_TYPE");
  if (!type.ok()) return type.error();
  const auto listening = int_option(fd, SO_ACCEPTCONN, "getsockopt SO_ACCEPTCONN");
  if (!listening.ok()) return listening.error();
  SockAddr local;
  if (getsockname(fd, local.get(), &local.length) != 0) return last_error("getsockname");
  if (const auto status = make_ours(fd); !status.ok()) return status.error();
  InheritedSocket found;
  if (!is_ip(local.family())) return found;
  found.local = format_endpoint(local);
  if (type.value() == SOCK_STREAM && listening.value() != 0) found.kind = SocketKind::kTcpListener;
  if (type.value() == SOCK_DGRAM) {
    found.kind = SocketKind::kUdp;
    if (const auto status = prepare_udp_listener(fd, local.family()); !status.ok()) return status.error();
  }
  return found;
}

Status send_to_unix(const std::string& path, const std::string& text) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return SysError{"sendto", ENAMETOOLONG, path};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return last_error("socket");
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const ssize_t sent = sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&address), length);
  if (sent < 0) return last_error("sendto", path);
  return Done{};
}

}  // namespace ocvpn::io
