// Socket addresses as text and as sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace ocvpn::io {

/// IPv4-mapped IPv6 addresses are unmapped; text is '' for unix sockets. No zone.
struct Endpoint {
  std::string address;
  uint16_t port = 0;
  /// Index of the interface that a link-local IPv6 address belongs to; 0: none.
  uint32_t scope = 0;
};

/// Any socket address with its length.
struct SockAddr {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// Textual IPv4 or IPv6 address (no zone, no host name); nullopt when it is neither.
std::optional<SockAddr> parse_endpoint(const std::string& address, uint16_t port);
std::optional<SockAddr> parse_endpoint(const Endpoint& endpoint);

Endpoint format_endpoint(const SockAddr& address);
std::string format_ipv4(const in_addr& address);
/// Unmaps ::ffff:a.b.c.d.
std::string format_ipv6(const in6_addr& address);

/// "address:port" or "[address]:port" for error texts.
std::string describe(const std::string& address, uint16_t port);

}  // namespace ocvpn::io
