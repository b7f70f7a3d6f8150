// try-mtu-discovery: the search with DPD requests over DTLS, on a path that the test makes narrow.
#include <netinet/in.h>

#include "dataplane/test_client.h"

using namespace ocvpn::test;

namespace {

TunnelOptions searching() {
  TunnelOptions options = plain_options();
  options.dpd_sec = 90;
  options.mtu_discovery = true;
  return options;
}

/** Answers probes of at most `path` bytes until none comes any more; returns the last MTU that was reported. */
uint32_t answer_probes(Server& server, Tunnel& tunnel, size_t path) {
  for (Packet got = tunnel.dtls->receive(); got.type == kDpdOut; got = tunnel.dtls->receive(3000)) {
    if (got.payload.size() <= path) tunnel.dtls->send(kDpdResp, {});
  }
  uint32_t mtu = 0;
  while (auto event = server.event(EventType::mtu, 0)) mtu = event->mtu;
  return mtu;
}

}  // namespace

TEST(a_wide_path_raises_the_mtu_to_what_was_allowed) {
  Server server;
  Tunnel tunnel(server, searching());
  REQUIRE(tunnel.start_dtls());
  CHECK_EQ(answer_probes(server, tunnel, 9000), 1434u);
}

TEST(a_path_that_loses_large_packets_lowers_the_mtu) {
  // Fast, but slow enough that a busy machine answers a probe before it counts as lost.
  Server server(2);
  Tunnel tunnel(server, searching());
  REQUIRE(tunnel.start_dtls());
  const uint32_t mtu = answer_probes(server, tunnel, 1000);
  CHECK(mtu <= 1000 && mtu > 980);
}

TEST(without_the_option_or_dpd_nothing_is_probed) {
  for (bool discovery : {false, true}) {
    Server server;
    TunnelOptions options = plain_options();
    options.mtu_discovery = discovery;
    options.dpd_sec = discovery ? 0 : 90;
    Tunnel tunnel(server, options);
    REQUIRE(tunnel.start_dtls());
    CHECK_EQ(tunnel.dtls->receive(100).type, -1);
  }
}

TEST(send_buffer_of_the_connection) {
  if (with_processes()) return;  // its sockets are not ours to look at
  Server server;
  TunnelOptions options = plain_options();
  options.send_buffer_bytes = 30000;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  int seen = 0;
  // Every socket of this process that has twice (socket(7)) what was asked for: the TCP one and the UDP one.
  for (int fd = 3; fd < 256; ++fd) {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 && bytes == 60000) ++seen;
  }
  CHECK_EQ(seen, 2);
}
