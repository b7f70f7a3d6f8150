#include "io/fd_message.h"

#include <sys/socket.h>

#include <cstring>

namespace ocvpn::io {
namespace {

// Room for all that a message can carry, so that a surplus is seen as such and can be closed by number, and MSG_CTRUNC
// means that this process is out of descriptors. SCM_MAX_FD is 253 (linux/net/scm.h).
constexpr size_t kReceiveFds = 253;

// All descriptors of the control data, into owners.
std::vector<UniqueFd> take_fds(msghdr& message) {
  std::vector<UniqueFd> result;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      result.emplace_back(fd);
    }
  }
  return result;
}

}  // namespace

Result<size_t> send_with_fds(int socket, const uint8_t* data, size_t size, const int* fds, size_t fd_count) {
  // Without a byte to ride on, the kernel would drop the descriptors silently.
  if (fd_count > kMaxFds || (fd_count > 0 && size == 0)) return SysError{"sendmsg", EINVAL, "descriptors"};
  iovec part{const_cast<uint8_t*>(data), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
  }
  for (;;) {
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return size_t{0};
    if (errno != EINTR) return last_error("sendmsg");
  }
}

Result<std::optional<ReceivedMessage>> receive_with_fds(int socket, uint8_t* buffer, size_t capacity) {
  iovec part{buffer, capacity};
  alignas(cmsghdr) char control[CMSG_SPACE(kReceiveFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<ReceivedMessage>();
    return last_error("recvmsg");
  }
  ReceivedMessage result{static_cast<size_t>(received), take_fds(message), (message.msg_flags & MSG_CTRUNC) != 0};
  if (result.fds.size() > kMaxFds) return SysError{"recvmsg", EMSGSIZE, "too many descriptors"};
  return std::optional(std::move(result));
}

}  // namespace ocvpn::io
