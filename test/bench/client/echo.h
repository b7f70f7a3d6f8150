// ICMP echo (RFC 792) without a socket: the traffic of a session that has no tun device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "pkt/view.h"

namespace ocvpn::bench {

/** Bytes of the packets that are sent, header included. */
constexpr size_t kEchoPacket = 512;

/** An echo request between IPv4 addresses in text form. Throws std::runtime_error for other texts. */
void write_echo_request(const std::string& from, const std::string& to, uint16_t id, uint16_t sequence,
                        uint8_t packet[kEchoPacket]);

bool is_echo_reply(pkt::ConstView packet);

}  // namespace ocvpn::bench
