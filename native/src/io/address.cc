#include "io/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace ocvpn::io {

std::optional<SockAddr> parse_endpoint(const std::string& address, uint16_t port) {
  SockAddr result;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    result.length = sizeof(sockaddr_in);
    return result;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
  if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    result.length = sizeof(sockaddr_in6);
    return result;
  }
  return std::nullopt;
}

std::optional<SockAddr> parse_endpoint(const Endpoint& endpoint) {
  auto result = parse_endpoint(endpoint.address, endpoint.port);
  if (result && result->family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&result->storage)->sin6_scope_id = endpoint.scope;
  }
  return result;
}

std::string format_ipv4(const in_addr& address) {
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return text;
}

std::string format_ipv6(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr v4;
    std::memcpy(&v4, address.s6_addr + 12, sizeof v4);
    return format_ipv4(v4);
  }
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, text, sizeof text);
  return text;
}

Endpoint format_endpoint(const SockAddr& address) {
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return {format_ipv4(v4->sin_addr), ntohs(v4->sin_port)};
  }
  if (address.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    return {format_ipv6(v6->sin6_addr), ntohs(v6->sin6_port), v6->sin6_scope_id};
  }
  return {};
}

std::string describe(const std::string& address, uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

}  // namespace ocvpn::io
