// What a worker leaves in the channel of a session's process (handover.h), with any bytes of it changed, cut off or added
// and any descriptors: it is taken or refused whole, what was taken can be used, and no descriptor stays behind.
#include "dataplane/handover.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dataplane/messages.h"
#include "connection.h"

using namespace ocvpn;
using namespace ocvpn::test;
using dataplane::Command;

namespace {

/** The two messages as they are sent. */
struct Sound {
  TlsBytes messages[2];
  int tun = open("/dev/null", O_RDWR | O_CLOEXEC);
  Sockets tcp{SOCK_STREAM};
  Sockets channel{SOCK_SEQPACKET};

  static const Sound& get() {
    static const Sound sound;
    return sound;
  }

 private:
  Sound() {
    TlsPair pair(ec());
    establish(pair);
    dataplane::TunnelSetup setup;
    setup.tls = pair.take_server();
    setup.head = text("read beyond the request");
    setup.options.tun_fd = tun;
    setup.options.dtls.mode = dataplane::DtlsMode::psk;
    setup.options.dtls.ciphers = "PSK-AES256-GCM-SHA384";
    fuzz_require(dataplane::send_handover(channel.ends[0], setup));
    for (TlsBytes& message : messages) {
      message.resize(sizeof(Command) + dataplane::kMaxPayload);
      const ssize_t length = recv(channel.ends[1], message.data(), message.size(), 0);
      fuzz_require(length > 0);
      message.resize(static_cast<std::size_t>(length));
    }
  }
};

std::size_t u16(FuzzInput& input) {
  const std::size_t high = input.u8();
  return high << 8 | input.u8();
}

/** Changes some bytes, and in some inputs the length, with or without telling it. */
void mutate(FuzzInput& input, TlsBytes& message) {
  for (int left = input.u8() % 8; left > 0; --left) {
    const std::size_t at = u16(input) % message.size();
    message[at] = input.u8();
  }
  const uint8_t resize = input.u8();
  if (resize % 4 == 0) message.resize(u16(input) % (sizeof(Command) + dataplane::kMaxPayload));
  if (resize % 8 == 0 && message.size() >= sizeof(Command)) {
    Command command;
    memcpy(&command, message.data(), sizeof command);
    command.payload_length = static_cast<uint32_t>(message.size() - sizeof command);
    memcpy(message.data(), &command, sizeof command);
  }
}

/** With up to two descriptors, of which the reader has room for one. */
void send_raw(int channel, const TlsBytes& message, const int* fds, std::size_t count) {
  iovec part{const_cast<uint8_t*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  }
  sendmsg(channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void use(dataplane::TunnelSetup& setup) {
  fuzz_require(setup.tls != nullptr && setup.tls->owns_records() && setup.options.tun_fd >= 0);
  uint8_t buffer[TlsStream::kMaxPlaintext];
  while (setup.tls->read(buffer, sizeof buffer).status == TlsStatus::kOk) {
  }
  setup.tls->write(buffer, 100);
  setup.tls->request_key_update();
  setup.tls->close_notify();
  close(setup.options.tun_fd);
}

/** The number that the next descriptor gets. */
int next_descriptor() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Sound& sound = Sound::get();
  FuzzInput input(data, size);
  const int before = next_descriptor();
  const int fds[] = {sound.tcp.ends[0], sound.tun};
  bool changed = false;
  for (int i = 0; i < 2; ++i) {
    TlsBytes message = sound.messages[i];
    mutate(input, message);
    const uint8_t order = input.u8();
    const std::size_t count = order % 8 == 1 ? 0 : order % 8 == 2 ? 2 : 1;
    changed = changed || count == 0 || message != sound.messages[i];
    const int chosen[] = {fds[i], fds[1 - i]};
    if (order % 16 != 9) send_raw(sound.channel.ends[0], message, chosen, count);
    else changed = true;
  }
  {
    const auto setup = dataplane::receive_handover(sound.channel.ends[1], nullptr);
    fuzz_require(setup != nullptr || changed);
    if (setup != nullptr) use(*setup);
  }
  // What was not asked for any more.
  Command command;
  static uint8_t payload[dataplane::kMaxPayload];
  for (int fd = -1; dataplane::receive_command(sound.channel.ends[1], &command, payload, &fd) != 0;) {
    if (fd >= 0) close(fd);
  }
  fuzz_require(next_descriptor() == before);
  return 0;
}
