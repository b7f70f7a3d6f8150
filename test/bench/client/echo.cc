#include "echo.h"

#include <arpa/inet.h>

#include <cstring>
#include <stdexcept>

#include "pkt/checksum.h"
#include "pkt/ip_packet.h"

namespace ocvpn::bench {

namespace {

constexpr size_t kIpv4Header = 20;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kEchoReply = 0;

void put_address(const std::string& text, uint8_t* out) {
  if (inet_pton(AF_INET, text.c_str(), out) != 1) throw std::runtime_error(text + " is no IPv4 address");
}

void put16(uint8_t* out, size_t value) {
  out[0] = static_cast<uint8_t>(value >> 8);
  out[1] = static_cast<uint8_t>(value);
}

}  // namespace

void write_echo_request(const std::string& from, const std::string& to, uint16_t id, uint16_t sequence,
                        uint8_t packet[kEchoPacket]) {
  std::memset(packet, 0, kEchoPacket);
  packet[0] = 0x45;
  put16(packet + 2, kEchoPacket);
  packet[8] = 64;
  packet[9] = kIcmp;
  put_address(from, packet + 12);
  put_address(to, packet + 16);
  uint8_t* icmp = packet + kIpv4Header;
  icmp[0] = kEchoRequest;
  put16(icmp + 4, id);
  put16(icmp + 6, sequence);
  pkt::write_ipv4_checksum({packet, kIpv4Header});
  pkt::IpPacket ip;
  if (pkt::parse_ip({packet, kEchoPacket}, &ip) != pkt::IpError::kNone)
    throw std::runtime_error("the echo request is no IP packet");
  pkt::write_l4_checksum({packet, kEchoPacket}, ip);
}

bool is_echo_reply(pkt::ConstView packet) {
  return packet.size() == kEchoPacket && packet.u8(0) == 0x45 && packet.u8(9) == kIcmp &&
         packet.u8(kIpv4Header) == kEchoReply;
}

}  // namespace ocvpn::bench
