#include "io/offload_probe.h"

#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "io/address.h"
#include "io/tun.h"
#include "io/udp_socket.h"
#include "io/unique_fd.h"

namespace ocvpn::io {
namespace {

constexpr int kSegment = 64;
constexpr int kSegments = 3;

bool set_udp_option(int fd, int name, int value) {
  return setsockopt(fd, IPPROTO_UDP, name, &value, sizeof value) == 0;
}

// Loopback delivers at once, so the wait only guards against a loaded machine.
bool wait_readable(int fd) {
  constexpr int kPatienceMs = 200;
  pollfd poll_fd{fd, POLLIN, 0};
  return poll(&poll_fd, 1, kPatienceMs) == 1;
}

struct UdpPair {
  UniqueFd sender;
  UniqueFd receiver;
};

// Sender connected to the receiver on 127.0.0.1; empty when the namespace's loopback is down.
UdpPair open_loopback_pair() {
  auto receiver = bind_udp("127.0.0.1", 0);
  if (!receiver.ok()) return {};
  SockAddr address;
  if (getsockname(receiver.value().get(), address.get(), &address.length) != 0) return {};
  UniqueFd sender(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!sender || connect(sender.get(), address.get(), address.length) != 0) return {};
  return {std::move(sender), std::move(receiver.value())};
}

void probe_udp(OffloadSupport& support) {
  UdpPair pair = open_loopback_pair();
  if (!pair.sender) return;
  const bool gro_accepted = set_udp_option(pair.receiver.get(), UDP_GRO, 1);
  if (!set_udp_option(pair.sender.get(), UDP_SEGMENT, kSegment)) return;
  char payload[kSegment * kSegments] = {};
  if (send(pair.sender.get(), payload, sizeof payload, 0) != static_cast<ssize_t>(sizeof payload)) return;
  if (!wait_readable(pair.receiver.get())) return;
  // One read of everything: segmented and coalesced again. One read of a segment: segmented only.
  const ssize_t received = recv(pair.receiver.get(), payload, sizeof payload, 0);
  support.udp_segment = received == kSegment || received == static_cast<ssize_t>(sizeof payload);
  support.udp_gro = gro_accepted && received == static_cast<ssize_t>(sizeof payload);
}

void probe_tun(OffloadSupport& support) {
  TunRequest request;
  request.name = "ocprobe%d";
  request.vnet_hdr = request.tso = request.uso = true;
  const auto tun = open_tun(request);
  if (!tun.ok()) return;
  support.tun_vnet_hdr = tun.value().vnet_hdr;
  support.tun_tso = tun.value().tso;
  support.tun_uso = tun.value().uso;
}

}  // namespace

OffloadSupport probe_offloads() {
  OffloadSupport support;
  probe_tun(support);
  probe_udp(support);
  return support;
}

}  // namespace ocvpn::io
