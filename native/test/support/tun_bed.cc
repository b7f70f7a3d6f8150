#include "support/tun_bed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ocvpn::test {

namespace {
// linux/if_tun.h of Debian 12 (6.1) does not have them yet.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
constexpr int kSilenceMs = 5000;

bool is_tcp_or_udp(const Bytes& frame) {
  if (frame.size() < 50) return false;
  const uint8_t protocol = frame[10] >> 4 == 4 ? frame[10 + 9] : frame[10 + 6];
  return protocol == 6 || protocol == 17;
}
}  // namespace

TunBed::TunBed() {
  if (unshare(CLONE_NEWNET) != 0) {
    error_ = std::string("unshare: ") + std::strerror(errno);
    return;
  }
  fd_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request = {};
  std::strcpy(request.ifr_name, "tun0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (fd_ < 0 || ioctl(fd_, TUNSETIFF, &request) != 0) {
    error_ = std::string("/dev/net/tun: ") + std::strerror(errno);
    return;
  }
  const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  uso_ = ioctl(fd_, TUNSETOFFLOAD, tcp | kTunUso4 | kTunUso6) == 0;
  if (!uso_ && ioctl(fd_, TUNSETOFFLOAD, tcp) != 0) error_ = std::string("TUNSETOFFLOAD: ") + std::strerror(errno);
  const char* setup =
      "ip link set tun0 mtu 1400 up && ip addr add 10.77.0.1/24 dev tun0 && ip addr add fd77::1/64 dev tun0 nodad";
  if (error_.empty() && std::system(setup) != 0) error_ = "ip: cannot configure tun0";
}

TunBed::~TunBed() {
  if (fd_ >= 0) close(fd_);
}

bool TunBed::write_frame(const uint8_t* data, size_t size) {
  return write(fd_, data, size) == static_cast<ssize_t>(size);
}

Bytes TunBed::read_frame() {
  Bytes frame(10 + 65575);
  for (;;) {
    const ssize_t length = read(fd_, frame.data(), frame.size());
    if (length < 0) {
      pollfd waiting = {fd_, POLLIN, 0};
      if (errno != EAGAIN || poll(&waiting, 1, kSilenceMs) != 1) return {};
      continue;
    }
    const Bytes got(frame.begin(), frame.begin() + length);
    if (is_tcp_or_udp(got)) return got;
  }
}

int socket_bound(int version, int type, uint16_t port) {
  const int fd = socket(version == 4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  inet_pton(AF_INET, "10.77.0.1", &v4.sin_addr);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  inet_pton(AF_INET6, "fd77::1", &v6.sin6_addr);
  const int bound = version == 4 ? bind(fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                                 : bind(fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
  timeval patience = {kSilenceMs / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (bound != 0) fail(__FILE__, __LINE__, std::string("bind: ") + std::strerror(errno));
  return fd;
}

}  // namespace ocvpn::test
