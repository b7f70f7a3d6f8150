// What one tunnel is opened with: the C++ side of TunnelOptions in src/core/native/tunnel-types.ts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "pkt/compression.h"

namespace ocvpn::dataplane {

enum class DtlsMode : uint8_t { none, psk, legacy };

struct DtlsOptions {
  DtlsMode mode = DtlsMode::none;
  std::string ciphers;
  // legacy only, protocol.md 12.3.
  std::array<uint8_t, 48> master_secret{};
  std::array<uint8_t, 32> session_id{};
};

struct Offloads {
  bool udp_segment = true;
  bool udp_gro = true;
  bool tun_coalesce = true;
  bool tls_batch = true;
  bool turn_pace = true;
  bool ack_filter = true;
  bool own_records = true;
  bool send_pace = true;
  bool stream_room = true;
};

struct ClientIpv6 {
  std::array<uint8_t, 16> address{};
  unsigned prefix = 128;
};

// Plain: it travels as bytes to a process that a template made (handover.h).
struct TunnelSettings {
  bool tun_vnet_hdr = false;
  bool tun_tso = false;
  bool tun_uso = false;
  uint32_t data_mtu = 1434;      // bytes of inner packet
  uint32_t max_data_mtu = 1434;  // bytes of inner packet
  pkt::Compression cstp_compression = pkt::Compression::kNone;
  pkt::Compression dtls_compression = pkt::Compression::kNone;
  uint32_t no_compress_limit = 256;  // bytes: shorter packets are sent as they are
  uint32_t dpd_sec = 0;
  uint32_t keepalive_sec = 0;
  uint32_t idle_timeout_sec = 0;
  uint32_t session_timeout_sec = 0;
  uint32_t switch_to_tcp_sec = 0;
  uint32_t rekey_sec = 0;
  uint64_t rx_bytes_per_sec = 0;
  uint64_t tx_bytes_per_sec = 0;
  bool mtu_discovery = false;      // search the path MTU of UDP; needs DPD
  uint32_t send_buffer_bytes = 0;  // of the sockets; 0: as the system has it
  Offloads offloads;
  bool has_client_ipv4 = false;
  std::array<uint8_t, 4> client_ipv4{};
  bool has_client_ipv6 = false;
  ClientIpv6 client_ipv6;
  bool has_local_ipv4 = false;
  std::array<uint8_t, 4> local_ipv4{};
  bool has_local_ipv6 = false;
  std::array<uint8_t, 16> local_ipv6{};
};

struct TunnelOptions : TunnelSettings {
  int tun_fd = -1;
  DtlsOptions dtls;
};

}  // namespace ocvpn::dataplane
