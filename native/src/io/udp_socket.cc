#include "io/udp_socket.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <vector>

namespace ocvpn::io {
namespace {

constexpr int kDatagram = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<UniqueFd> open_udp(int family) {
  UniqueFd fd(socket(family, kDatagram, 0));
  if (!fd) return last_error("socket");
  if (!set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return last_error("setsockopt SO_REUSEADDR");
  if (family == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
    return last_error("setsockopt IPV6_V6ONLY");
  }
  return fd;
}

// Offsets in the IP header of the source address (RFC 791, RFC 8200).
constexpr uint32_t kIpv4Source = 12;
constexpr uint32_t kIpv6Source = 8;

// Program that accepts datagrams from `remote` and drops all others. At a UDP socket the packet starts with the
// UDP header (source port at 0); the IP header is reached through SKF_NET_OFF. Loads are in host order.
std::vector<sock_filter> only_from(const SockAddr& remote) {
  std::vector<std::pair<uint32_t, uint32_t>> words;  // offset, expected
  uint16_t port;
  if (remote.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&remote.storage);
    port = ntohs(v4->sin_port);
    words.emplace_back(SKF_NET_OFF + kIpv4Source, ntohl(v4->sin_addr.s_addr));
  } else {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&remote.storage);
    port = ntohs(v6->sin6_port);
    for (uint32_t i = 0; i < 4; i++) {
      uint32_t word;
      std::memcpy(&word, v6->sin6_addr.s6_addr + 4 * i, sizeof word);
      words.emplace_back(SKF_NET_OFF + kIpv6Source + 4 * i, ntohl(word));
    }
  }
  // Each comparison that fails jumps to the final "drop"; the distance shrinks by two per word.
  auto to_drop = static_cast<uint8_t>(2 * words.size() + 1);
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, to_drop));
  for (const auto& [offset, expected] : words) {
    to_drop = static_cast<uint8_t>(to_drop - 2);
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, expected, 0, to_drop));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  return program;
}

Status attach_filter(int fd, std::vector<sock_filter> program) {
  const sock_fprog filter{static_cast<uint16_t>(program.size()), program.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    return last_error("setsockopt SO_ATTACH_FILTER");
  }
  return Done{};
}

// A client's upload comes in batches of megabytes while the process that reads them waits for its core: what the system's
// default (net.core.rmem_default, 208 KiB) does not hold is lost. The kernel doubles the value for its own overhead.
constexpr int kReceiveBuffer = 1 << 20;

// Beyond net.core.rmem_max with CAP_NET_ADMIN, which main has; else as much as the system allows.
void enlarge_receive_buffer(int fd) {
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer)) set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
}

// Local address from the packet info, '' without one.
std::string packet_info_address(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      // ipi_spec_dst is one of ours even when the datagram was sent to a broadcast address (ip(7)).
      return format_ipv4(info.ipi_spec_dst);
    }
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      return format_ipv6(info.ipi6_addr);
    }
  }
  return {};
}

}  // namespace

Status prepare_udp_listener(int fd, int family) {
  if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return last_error("setsockopt SO_REUSEADDR");
  const bool v6 = family == AF_INET6;
  if (!set_option(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1)) {
    return last_error(v6 ? "setsockopt IPV6_RECVPKTINFO" : "setsockopt IP_PKTINFO");
  }
  return Done{};
}

Result<UniqueFd> bind_udp(const std::string& address, uint16_t port) {
  const auto parsed = parse_endpoint(address, port);
  if (!parsed) return SysError{"bind", EINVAL, address};
  auto fd = open_udp(parsed->family());
  if (!fd.ok()) return fd;
  if (const auto status = prepare_udp_listener(fd.value().get(), parsed->family()); !status.ok()) return status.error();
  if (bind(fd.value().get(), parsed->get(), parsed->length) != 0) return last_error("bind", describe(address, port));
  return fd;
}

Result<std::optional<DatagramInfo>> receive_datagram(int fd, uint8_t* buffer, size_t capacity) {
  SockAddr remote;
  iovec part{buffer, capacity};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
  msghdr message{};
  message.msg_name = remote.get();
  message.msg_namelen = remote.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(fd, &message, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<DatagramInfo>();
    return last_error("recvmsg");
  }
  SockAddr bound;
  if (getsockname(fd, bound.get(), &bound.length) != 0) return last_error("getsockname");
  DatagramInfo info{static_cast<size_t>(received), format_endpoint(remote), format_endpoint(bound)};
  const std::string hit = packet_info_address(message);
  if (!hit.empty()) info.local.address = hit;
  info.local.scope = info.remote.scope;  // who is reached by a link-local address is on that link, too
  return std::optional(std::move(info));
}

Result<UniqueFd> connect_udp(const Endpoint& local, const Endpoint& remote) {
  const auto from = parse_endpoint(local);
  const auto to = parse_endpoint(remote);
  const std::string what = describe(local.address, local.port) + " to " + describe(remote.address, remote.port);
  if (!from || !to || from->family() != to->family()) return SysError{"connect", EINVAL, what};
  auto fd = open_udp(from->family());
  if (!fd.ok()) return fd;
  const int socket = fd.value().get();
  enlarge_receive_buffer(socket);
  const Status filtered = attach_filter(socket, only_from(*to));
  if (!filtered.ok()) return filtered.error();
  if (bind(socket, from->get(), from->length) != 0) return last_error("bind", what);
  if (connect(socket, to->get(), to->length) != 0) return last_error("connect", what);
  return fd;
}

}  // namespace ocvpn::io
