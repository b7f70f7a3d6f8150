#include "io/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "io/address.h"
#include "io/unique_fd.h"

namespace ocvpn::io {
namespace {

// One rtnetlink request: header, family structure, attributes. Capacity is far above any request made here.
class Request {
 public:
  template <typename Payload>
  Request(uint16_t type, uint16_t flags, const Payload& payload) {
    header()->nlmsg_len = NLMSG_LENGTH(sizeof payload);
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header()->nlmsg_seq = 1;  // each is answered before the next
    std::memcpy(NLMSG_DATA(header()), &payload, sizeof payload);
  }

  void add(uint16_t type, const void* data, size_t size) {
    const size_t offset = NLMSG_ALIGN(header()->nlmsg_len);
    if (offset + RTA_SPACE(size) > buffer_.size()) {
      overflow_ = true;
      return;
    }
    auto* attribute = reinterpret_cast<rtattr*>(buffer_.data() + offset);
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    if (size > 0) std::memcpy(RTA_DATA(attribute), data, size);
    header()->nlmsg_len = static_cast<uint32_t>(offset + RTA_LENGTH(size));
  }

  template <typename T>
  void add_value(uint16_t type, const T& value) {
    add(type, &value, sizeof value);
  }

  /// Opens a nested attribute; attributes until close_nested() belong to it.
  size_t open_nested(uint16_t type) {
    const size_t offset = NLMSG_ALIGN(header()->nlmsg_len);
    add(type | NLA_F_NESTED, nullptr, 0);
    return offset;
  }
  void close_nested(size_t offset) {
    reinterpret_cast<rtattr*>(buffer_.data() + offset)->rta_len = static_cast<uint16_t>(header()->nlmsg_len - offset);
  }

  const void* data() const { return buffer_.data(); }
  size_t size() const { return header()->nlmsg_len; }
  bool overflow() const { return overflow_; }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  const nlmsghdr* header() const { return reinterpret_cast<const nlmsghdr*>(buffer_.data()); }

  alignas(nlmsghdr) std::array<char, 512> buffer_{};
  bool overflow_ = false;
};

// The kernel's sentence about a failure (NLMSGERR_ATTR_MSG), '' without one.
std::string extended_ack(const nlmsghdr* header) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
  // The request's payload precedes the attributes unless the kernel capped it.
  size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof *error);
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) offset += NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
  while (offset + sizeof(nlattr) <= header->nlmsg_len) {
    const auto* attribute = reinterpret_cast<const nlattr*>(reinterpret_cast<const char*>(header) + offset);
    if (attribute->nla_len < NLA_HDRLEN || offset + attribute->nla_len > header->nlmsg_len) break;
    if (attribute->nla_type == NLMSGERR_ATTR_MSG) {
      const char* text = reinterpret_cast<const char*>(attribute) + NLA_HDRLEN;
      return std::string(text, strnlen(text, attribute->nla_len - NLA_HDRLEN));
    }
    offset += NLA_ALIGN(attribute->nla_len);
  }
  return {};
}

std::string join(const std::string& what, const std::string& why) { return why.empty() ? what : what + ": " + why; }

Result<UniqueFd> open_route_socket() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return last_error("socket AF_NETLINK");
  const int on = 1;
  // Only adds the kernel's explanation to errors, so a kernel without it changes nothing.
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return fd;
}

// Sends the request and waits for its acknowledgement, which the kernel queues before sendto() returns.
Status transact(int fd, const Request& request, const char* operation, const std::string& what) {
  if (request.overflow()) return SysError{operation, EMSGSIZE, what};
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd, request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) {
    return last_error(operation, what);
  }
  alignas(nlmsghdr) char reply[4096];
  ssize_t received;
  do {
    received = recv(fd, reply, sizeof reply, 0);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return last_error(operation, what);
  const auto* header = reinterpret_cast<const nlmsghdr*>(reply);
  if (!NLMSG_OK(header, static_cast<size_t>(received)) || header->nlmsg_type != NLMSG_ERROR ||
      header->nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) {
    return SysError{operation, EPROTO, what};
  }
  const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
  if (error != 0) return SysError{operation, error, join(what, extended_ack(header))};
  return Done{};
}

std::string device(int ifindex) { return "interface " + std::to_string(ifindex); }

ifinfomsg link_header(int ifindex) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  return header;
}

// A tunnel needs no link-local address, and clients would get the kernel's router solicitations and MLD reports.
Status disable_ipv6_autoconfiguration(int fd, int ifindex) {
  Request request(RTM_NEWLINK, 0, link_header(ifindex));
  const size_t spec = request.open_nested(IFLA_AF_SPEC);
  const size_t inet6 = request.open_nested(AF_INET6);
  request.add_value(IFLA_INET6_ADDR_GEN_MODE, static_cast<uint8_t>(IN6_ADDR_GEN_MODE_NONE));
  request.close_nested(inet6);
  request.close_nested(spec);
  Status status = transact(fd, request, "RTM_NEWLINK", device(ifindex) + " addrgenmode none");
  // A host or device without IPv6 has nothing to switch off.
  if (!status.ok() && (status.error().code == EAFNOSUPPORT || status.error().code == EOPNOTSUPP)) return Done{};
  return status;
}

Status set_link(int fd, int ifindex, int mtu, bool up) {
  ifinfomsg header = link_header(ifindex);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  Request request(RTM_NEWLINK, 0, header);
  request.add_value(IFLA_MTU, static_cast<uint32_t>(mtu));
  return transact(fd, request, "RTM_NEWLINK", device(ifindex) + " mtu " + std::to_string(mtu) + (up ? " up" : " down"));
}

Status add_ipv4(int fd, int ifindex, const InterfaceSettings::Ipv4& ipv4) {
  const std::string what = ipv4.local + " peer " + ipv4.peer;
  in_addr local;
  in_addr peer;
  if (inet_pton(AF_INET, ipv4.local.c_str(), &local) != 1 || inet_pton(AF_INET, ipv4.peer.c_str(), &peer) != 1) {
    return SysError{"RTM_NEWADDR", EINVAL, what};
  }
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<uint32_t>(ifindex);
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.add_value(IFA_LOCAL, local);
  request.add_value(IFA_ADDRESS, peer);
  return transact(fd, request, "RTM_NEWADDR", what);
}

Status add_ipv6_address(int fd, int ifindex, const std::string& local_text) {
  in6_addr local;
  if (inet_pton(AF_INET6, local_text.c_str(), &local) != 1) return SysError{"RTM_NEWADDR", EINVAL, local_text};
  ifaddrmsg header{};
  header.ifa_family = AF_INET6;
  header.ifa_prefixlen = 128;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<uint32_t>(ifindex);
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.add_value(IFA_LOCAL, local);
  // Nobody on a tunnel answers duplicate detection, and the address is to be usable at once.
  request.add_value(IFA_FLAGS, static_cast<uint32_t>(IFA_F_NODAD));
  return transact(fd, request, "RTM_NEWADDR", local_text + "/128");
}

Status add_ipv6_route(int fd, int ifindex, const std::string& peer, int prefix) {
  const std::string what = peer + "/" + std::to_string(prefix);
  in6_addr destination;
  if (inet_pton(AF_INET6, peer.c_str(), &destination) != 1 || prefix < 0 || prefix > 128) {
    return SysError{"RTM_NEWROUTE", EINVAL, what};
  }
  // The kernel refuses host bits in a prefix.
  for (int bit = prefix; bit < 128; bit++) destination.s6_addr[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = static_cast<uint8_t>(prefix);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.add_value(RTA_DST, destination);
  request.add_value(RTA_OIF, ifindex);
  return transact(fd, request, "RTM_NEWROUTE", what);
}

}  // namespace

Status configure_interface(const InterfaceSettings& settings) {
  auto opened = open_route_socket();
  if (!opened.ok()) return opened.error();
  const int fd = opened.value().get();
  const int ifindex = settings.ifindex;
  Status status = disable_ipv6_autoconfiguration(fd, ifindex);
  if (status.ok()) status = set_link(fd, ifindex, settings.mtu, settings.up);
  if (status.ok() && settings.ipv4) status = add_ipv4(fd, ifindex, *settings.ipv4);
  if (status.ok() && settings.ipv6) status = add_ipv6_address(fd, ifindex, settings.ipv6->local);
  if (status.ok() && settings.ipv6) status = add_ipv6_route(fd, ifindex, settings.ipv6->peer, settings.ipv6->prefix);
  return status;
}

Status set_interface_mtu(int ifindex, int mtu) {
  auto opened = open_route_socket();
  if (!opened.ok()) return opened.error();
  Request request(RTM_NEWLINK, 0, link_header(ifindex));
  request.add_value(IFLA_MTU, static_cast<uint32_t>(mtu));
  return transact(opened.value().get(), request, "RTM_NEWLINK", device(ifindex) + " mtu " + std::to_string(mtu));
}

}  // namespace ocvpn::io
