#include "dataplane/tunnel_host.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ocvpn::dataplane {

uint32_t TunnelHost::open(std::unique_ptr<TlsStream> tls, std::vector<uint8_t> response, std::vector<uint8_t> head,
                          TunnelOptions options) {
  auto setup = std::make_unique<TunnelSetup>();
  const uint32_t id = setup->id = ++last_id_;
  setup->tls = std::move(tls);
  setup->options = std::move(options);
  setup->response = std::move(response);
  setup->head = std::move(head);
  const int tun_fd = setup->options.tun_fd;
  if (launch(std::move(setup))) return id;
  const int error = errno;
  close(tun_fd);
  errno = error;
  return 0;
}

void TunnelHost::attach_udp(uint32_t id, int fd, bool hello, const uint8_t* datagram, size_t length) {
  Command command;
  command.type = CommandType::attach_udp;
  command.id = id;
  command.hello = hello;
  // A failure means that the loop has stopped or the datagram is no DTLS record: the client will send another.
  deliver(command, datagram, length, fd);
  close(fd);  // the loop has its own copy
}

void TunnelHost::terminate(uint32_t id, bool disconnect, CloseReason reason) {
  Command command;
  command.type = CommandType::terminate;
  command.id = id;
  command.disconnect = disconnect;
  command.reason = reason;
  // A loop that has stopped has ended its tunnels.
  deliver(command, nullptr, 0, -1);
}

void TunnelHost::complete_sign(uint32_t id, uint32_t request_id, const uint8_t* signature, size_t length) {
  Command command;
  command.type = CommandType::sign_done;
  command.id = id;
  command.request_id = request_id;
  command.refused = signature == nullptr;
  deliver(command, signature, command.refused ? 0 : length, -1);
}

uint64_t TunnelHost::idle_ms(const Counters& counters) const {
  uint64_t now = clock_.now_ms();
  uint64_t last = counters.lastDataMs.get();
  return last == 0 || last > now ? 0 : now - last;
}

}  // namespace ocvpn::dataplane
