// Everything that passes to the loop when a tunnel is opened.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/counters.h"
#include "dataplane/options.h"
#include "dataplane/tls_stream.h"

namespace ocvpn::dataplane {

struct TunnelSetup {
  uint32_t id = 0;
  std::unique_ptr<TlsStream> tls;
  TunnelOptions options;  // the loop closes options.tun_fd
  Counters* counters = nullptr;  // stays the reporting side's
  std::vector<uint8_t> response;  // the CONNECT reply, first TLS data
  std::vector<uint8_t> head;      // plaintext that was read beyond the request
};

}  // namespace ocvpn::dataplane
