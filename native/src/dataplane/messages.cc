#include "dataplane/messages.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <type_traits>

namespace ocvpn::dataplane {

static_assert(std::is_trivially_copyable_v<Command> && std::is_trivially_copyable_v<Event>,
              "they travel as bytes");

void copy_text(char* to, size_t capacity, const char* from) {
  if (capacity == 0) return;
  size_t length = strnlen(from, capacity - 1);
  memcpy(to, from, length);
  to[length] = '\0';
}

namespace {

void attach_descriptor(msghdr* message, char* control, size_t capacity, int fd) {
  message->msg_control = control;
  message->msg_controllen = capacity;
  cmsghdr* header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

int take_descriptor(msghdr* message) {
  int fd = -1;
  for (cmsghdr* h = CMSG_FIRSTHDR(message); h != nullptr; h = CMSG_NXTHDR(message, h)) {
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(h), sizeof fd);
  }
  return fd;
}

bool wait_writable(int socket) {
  pollfd waiting{socket, POLLOUT, 0};
  while (poll(&waiting, 1, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return (waiting.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace

bool try_send_command(int socket, const Command& command, const uint8_t* payload, size_t length, int fd) {
  if (length > kMaxPayload) {
    errno = EMSGSIZE;
    return false;
  }
  Command copy = command;
  copy.payload_length = static_cast<uint32_t>(length);
  iovec parts[2] = {{&copy, sizeof copy}, {const_cast<uint8_t*>(payload), length}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = length > 0 ? 2 : 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) attach_descriptor(&message, control, sizeof control, fd);
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

bool send_command(int socket, const Command& command, const uint8_t* payload, size_t length, int fd) {
  while (!try_send_command(socket, command, payload, length, fd)) {
    if (errno != EAGAIN || !wait_writable(socket)) return false;
  }
  return true;
}

int receive_command(int socket, Command* command, uint8_t* buffer, int* fd) {
  iovec parts[2] = {{command, sizeof *command}, {buffer, kMaxPayload}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control;
  // Not CMSG_SPACE: its padding has room for a second descriptor, which nobody would close.
  message.msg_controllen = CMSG_LEN(sizeof(int));
  ssize_t length;
  do {
    length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  *fd = -1;
  if (length < 0) return errno == EAGAIN ? 0 : -1;
  *fd = take_descriptor(&message);
  bool whole = static_cast<size_t>(length) >= sizeof *command &&
               static_cast<size_t>(length) - sizeof *command == command->payload_length;
  if (whole) return 1;
  // The end of the stream too, or a message without a byte.
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return -1;
}

bool send_event(int socket, const Event& event, const uint8_t* payload) {
  iovec parts[2] = {{const_cast<Event*>(&event), sizeof event},
                    {const_cast<uint8_t*>(payload), event.payload_length}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = event.payload_length > 0 ? 2 : 1;
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  // A reader that is gone wants no more events; only a full socket is worth another try.
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

int receive_event(int socket, Event* event, uint8_t* buffer) {
  iovec parts[2] = {{event, sizeof *event}, {buffer, kMaxPayload}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t length;
  do {
    length = recvmsg(socket, &message, MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return errno == EAGAIN ? 0 : -1;
  bool whole = static_cast<size_t>(length) >= sizeof *event &&
               static_cast<size_t>(length) - sizeof *event == event->payload_length;
  return whole ? 1 : -1;
}

}  // namespace ocvpn::dataplane
