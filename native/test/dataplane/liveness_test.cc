// Timers of a session on a clock that runs faster, and the ways in which a session ends.
#include <dirent.h>

#include "dataplane/test_client.h"

using namespace ocvpn::test;

namespace {

size_t open_descriptors() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

Bytes ping(Tunnel&) {
  Bytes packet = build(inner(64));
  packet[9] = 1;  // ICMP; the header checksum is not the data plane's affair
  return packet;
}

}  // namespace

TEST(a_silent_client_is_asked_and_then_given_up) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.dpd_sec = 30;
  Tunnel tunnel(server, options);
  Packet asked = tunnel.receive();
  CHECK_EQ(asked.type, int{kDpdOut});
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::dpd_timeout);
  CHECK_EQ(tunnel.wait_end(), -3);  // no DISCONNECT: it may come back
}

TEST(a_client_that_answers_dpd_stays) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.dpd_sec = 20;
  Tunnel tunnel(server, options);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(tunnel.receive().type == kDpdOut);
    tunnel.send(kDpdResp, {});
  }
  CHECK(!server.event(EventType::closed, 0).has_value());
}

TEST(a_dead_udp_path_falls_back_and_comes_back) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.dpd_sec = 20;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  Packet probe = tunnel.dtls->receive();
  CHECK_EQ(probe.type, int{kDpdOut});
  CHECK_EQ(probe.payload.size(), 1400u);  // as long as the data MTU
  // TLS keeps answering, UDP does not.
  REQUIRE(eventually([&] {
    while (tunnel.receive(0).type == kDpdOut) tunnel.send(kDpdResp, {});
    return tunnel.counters().dtlsActive.get() == 0;
  }));
  Bytes packet = build(inner(100));
  tunnel.tun.push_packet(packet);
  Packet got;
  do {
    got = tunnel.receive();
    if (got.type == kDpdOut) tunnel.send(kDpdResp, {});
  } while (got.type == kDpdOut);
  CHECK_EQ(got.payload, packet);
  tunnel.dtls->send(kDpdResp, {});
  CHECK(eventually([&] { return tunnel.counters().dtlsActive.get() == 1; }));
}

TEST(keepalive_when_nothing_else_was_sent) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.keepalive_sec = 20;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  CHECK_EQ(tunnel.receive().type, int{kKeepalive});
  CHECK_EQ(tunnel.dtls->receive().type, int{kKeepalive});
}

TEST(idle_timeout_says_disconnect) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.idle_timeout_sec = 20;
  Tunnel tunnel(server, options);
  Packet packet = tunnel.receive();
  CHECK_EQ(packet.type, int{kDisconnect});
  CHECK(packet.payload.empty());
  CHECK_EQ(tunnel.wait_end(), -2);
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::idle_timeout);
}

// Pings for longer than the timeout do not hold the session; the first data packet would.
TEST(pings_do_not_count_as_activity) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.idle_timeout_sec = 40;
  Tunnel tunnel(server, options);
  std::optional<Event> closed;
  REQUIRE(eventually([&] {
    tunnel.tun.offer(concat(Bytes(10), ping(tunnel)));
    SSL_write(tunnel.ssl(), cstp(kData, ping(tunnel)).data(), static_cast<int>(ping(tunnel).size() + 8));
    while (tunnel.receive(0).type == kData) {
    }
    closed = server.event(EventType::closed, 0);
    return closed.has_value();
  }));
  CHECK_EQ(closed->reason, CloseReason::idle_timeout);
}

TEST(data_counts_as_activity) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.idle_timeout_sec = 60;  // 300 ms
  Tunnel tunnel(server, options);
  for (int i = 0; i < 20; ++i) {
    poll(nullptr, 0, 30);
    tunnel.send(kData, build(inner(10)));
  }
  CHECK(!server.event(EventType::closed, 0).has_value());
}

TEST(session_timeout_ends_even_a_busy_session) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.session_timeout_sec = 60;
  Tunnel tunnel(server, options);
  std::optional<Event> closed;
  CHECK(eventually([&] {
    tunnel.tun.offer(concat(Bytes(10), build(inner(10))));
    closed = server.event(EventType::closed, 0);
    while (tunnel.receive(0).type >= 0) {
    }
    return closed.has_value();
  }));
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::session_timeout);
}

TEST(terminate_with_disconnect) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  server.engine().terminate(tunnel.id, true, CloseReason::server_disconnect);
  Packet packet = tunnel.receive();
  CHECK_EQ(packet.type, int{kDisconnect});
  CHECK(packet.payload.empty());
  CHECK_EQ(tunnel.wait_end(), -2);
  CHECK_EQ(tunnel.dtls->receive().type, -2);
  shutdown(tunnel.fd(), SHUT_WR);
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::server_disconnect);
}

TEST(terminate_by_drop_says_nothing) {
  Server server;
  Tunnel tunnel(server);
  server.engine().terminate(tunnel.id, false, CloseReason::session_timeout);
  CHECK_EQ(tunnel.receive().type, -3);
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::session_timeout);
  // Later commands for it are harmless.
  server.engine().terminate(tunnel.id, true, CloseReason::error);
  server.engine().attach_udp(tunnel.id, socket(AF_INET, SOCK_DGRAM, 0), true, nullptr, 0);
}

TEST(a_client_that_does_not_close_after_disconnect_is_closed) {
  Server server(20);
  Tunnel tunnel(server);
  server.engine().terminate(tunnel.id, true, CloseReason::server_disconnect);
  // The client neither reads nor closes.
  CHECK(server.event(EventType::closed).has_value());
}

TEST(a_vanished_client_ends_its_session) {
  Server server;
  auto tunnel = std::make_unique<Tunnel>(server);
  linger hard{1, 0};
  setsockopt(tunnel->fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  tunnel.reset();  // RST
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::error);
}

TEST(close_notify_without_disconnect_is_temporary) {
  Server server;
  Tunnel tunnel(server);
  SSL_shutdown(tunnel.ssl());
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::temporary_disconnect);
}

TEST(a_removed_tun_ends_its_session) {
  Server server;
  Tunnel tunnel(server);
  tunnel.tun.remove();
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::error);
}

TEST(tls12_renegotiation_is_signed_by_the_owner) {
  // Slow enough for this thread to answer within the 20 s that a signature may take, whatever runs beside it.
  constexpr uint32_t kRate = 4;
  Server server(kRate);
  TunnelOptions options = plain_options();
  options.rekey_sec = 1;
  Tunnel tunnel(server, options, {}, TLS1_2_VERSION);
  for (int i = 0; i < 2; ++i) {
    poll(nullptr, 0, 600 / kRate);
    SSL_renegotiate(tunnel.ssl());
    REQUIRE(eventually([&] {
      server.event(EventType::sign, 0);
      return SSL_do_handshake(tunnel.ssl()) == 1 && SSL_renegotiate_pending(tunnel.ssl()) == 0;
    }));
    Bytes packet = build(inner(100));
    tunnel.send(kData, packet);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    tunnel.tun.push_packet(packet);
    CHECK_EQ(tunnel.receive().payload, packet);
  }
  CHECK_EQ(server.sign_requests, 2);
}

TEST(tls12_renegotiation_too_soon_or_refused_ends_the_session) {
  for (bool refused : {false, true}) {
    Server server;
    server.sign_requests_refused = refused;
    TunnelOptions options = plain_options();
    options.rekey_sec = refused ? 1 : 3600;
    Tunnel tunnel(server, options, {}, TLS1_2_VERSION);
    if (refused) poll(nullptr, 0, 600);
    SSL_renegotiate(tunnel.ssl());
    std::optional<Event> closed;
    eventually([&] {
      SSL_do_handshake(tunnel.ssl());
      closed = server.event(EventType::closed, 0);
      return closed.has_value();
    });
    REQUIRE(closed.has_value());
    CHECK_EQ(closed->reason, CloseReason::error);
  }
}

TEST(tls13_key_update_by_the_server) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.rekey_sec = 10;
  Tunnel tunnel(server, options);
  Bytes packet = build(inner(100));
  for (int i = 0; i < 5; ++i) {
    poll(nullptr, 0, 60);
    tunnel.tun.push_packet(packet);
    CHECK_EQ(tunnel.receive().payload, packet);
    tunnel.send(kData, packet);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
  }
}

// What comes from the tun must not wait until something else is written to the client.
TEST(tls13_key_update_by_the_client_does_not_hold_packets_up) {
  Server server;
  Tunnel tunnel(server);
  Bytes packet = build(inner(100));
  for (int i = 0; i < 5; ++i) {
    for (int type : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
      REQUIRE(SSL_key_update(tunnel.ssl(), type) == 1 && SSL_do_handshake(tunnel.ssl()) == 1);
      for (int down = 0; down < 5; ++down) {
        tunnel.tun.push_packet(packet);
        CHECK_EQ(tunnel.receive().payload, packet);
      }
    }
  }
}

TEST(every_descriptor_is_closed_once) {
  size_t before = open_descriptors();
  {
    Server server;
    Tunnel running(server), ended(server), handshaking(server), lingering(server);
    running.start_dtls();
    ended.send(kDisconnect, {0xb0});
    server.event(EventType::closed);
    DtlsClient half(server.udp().address());
    half.use_psk(handshaking.psk);
    half.step();
    eventually([&] { return server.udp().dispatch(server.engine(), handshaking.id) > 0; });
    server.engine().terminate(lingering.id, true, CloseReason::server_disconnect);
    server.engine().stop();
    server.engine().stop();
    // The loop is gone: nothing leaks, nothing blocks.
    server.engine().attach_udp(running.id, socket(AF_INET, SOCK_DGRAM, 0), true, nullptr, 0);
    server.engine().terminate(running.id, true, CloseReason::error);
  }
  CHECK_EQ(open_descriptors(), before);
}
