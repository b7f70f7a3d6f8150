// Offsets and flags of the TCP (RFC 9293 3.1) and UDP (RFC 768) headers, from the start of the upper-layer header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ocvpn::pkt {

constexpr size_t kTcpMinHeader = 20;
constexpr size_t kTcpSequence = 4;
constexpr size_t kTcpAck = 8;
constexpr size_t kTcpDataOffset = 12;  // upper 4 bits, in 32-bit words
constexpr size_t kTcpFlags = 13;
constexpr size_t kTcpWindow = 14;
constexpr size_t kTcpChecksumField = 16;
constexpr size_t kTcpUrgentPointer = 18;

constexpr uint8_t kTcpFin = 0x01;
constexpr uint8_t kTcpSyn = 0x02;
constexpr uint8_t kTcpRst = 0x04;
constexpr uint8_t kTcpPsh = 0x08;
constexpr uint8_t kTcpAckFlag = 0x10;
constexpr uint8_t kTcpUrg = 0x20;
constexpr uint8_t kTcpEce = 0x40;
constexpr uint8_t kTcpCwr = 0x80;

constexpr size_t kUdpHeaderSize = 8;
constexpr size_t kUdpLength = 4;
constexpr size_t kUdpChecksumField = 6;

}  // namespace ocvpn::pkt
