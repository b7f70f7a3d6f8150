// Packets of a tunnel over both channels, and the CSTP packet types.
#include "dataplane/test_client.h"

using namespace ocvpn::test;

TEST(connect_reply_is_the_first_tls_data) {
  Server server;
  Tunnel tunnel(server);
  CHECK_EQ(tunnel.response, std::string("HTTP/1.1 200 CONNECTED\r\n\r\n"));
}

TEST(data_over_tls_both_ways) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Server server;
    Tunnel tunnel(server, plain_options(), {}, version);
    Bytes packet = build(inner(700));
    REQUIRE(tunnel.send(kData, packet));
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    tunnel.tun.push_packet(packet);
    Packet got = tunnel.receive();
    CHECK_EQ(got.type, int{kData});
    CHECK_EQ(got.payload, packet);
    CHECK_COUNTED(tunnel.counters().rxTlsPackets, 1u);
    CHECK_COUNTED(tunnel.counters().txTlsPackets, 1u);
    CHECK_COUNTED(tunnel.counters().rxBytes, packet.size());
    CHECK_COUNTED(tunnel.counters().txBytes, packet.size());
  }
}

TEST(packets_behind_the_connect_request_are_not_lost) {
  Server server;
  Bytes first = build(inner(100)), second = build(inner(200));
  Tunnel tunnel(server, plain_options(), concat(cstp(kData, first), cstp(kData, second)));
  CHECK_EQ(tunnel.tun.pop_packet(), first);
  CHECK_EQ(tunnel.tun.pop_packet(), second);
}

/** A packet that both methods make much shorter. */
static Bytes compressible() {
  Model model = inner(900);
  model.payload.assign(900, 'x');
  return build(model);
}

static Bytes packed(ocvpn::pkt::Compression method, const Bytes& packet) {
  Bytes out(packet.size());
  out.resize(ocvpn::pkt::compress(method, {packet.data(), packet.size()}, {out.data(), out.size()}));
  return out;
}

TEST(compressed_packets_both_ways_on_both_channels) {
  for (ocvpn::pkt::Compression method : {ocvpn::pkt::Compression::kLz4, ocvpn::pkt::Compression::kLzs}) {
    Server server;
    TunnelOptions options = plain_options();
    options.cstp_compression = options.dtls_compression = method;
    Tunnel tunnel(server, options);
    const Bytes packet = compressible();
    const Bytes data = packed(method, packet);
    REQUIRE(!data.empty());
    tunnel.send(kCompressed, data);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    tunnel.tun.push_packet(packet);
    Packet got = tunnel.receive();
    CHECK_EQ(got.type, int{kCompressed});
    CHECK_EQ(got.payload, data);
    REQUIRE(tunnel.start_dtls());
    tunnel.dtls->send(kCompressed, data);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    tunnel.tun.push_packet(packet);
    got = tunnel.dtls->receive();
    CHECK_EQ(got.type, int{kCompressed});
    CHECK_EQ(got.payload, data);
    CHECK_COUNTED(tunnel.counters().rxCompressed, 2u);
    CHECK_COUNTED(tunnel.counters().txCompressed, 2u);
    CHECK_COUNTED(tunnel.counters().txCompressionSaved, 2 * (packet.size() - data.size()));
    CHECK_COUNTED(tunnel.counters().txBytes, 2 * packet.size());
  }
}

TEST(what_is_short_or_does_not_shrink_goes_as_it_is) {
  Server server;
  TunnelOptions options = plain_options();
  options.cstp_compression = ocvpn::pkt::Compression::kLz4;
  options.no_compress_limit = static_cast<uint32_t>(compressible().size() + 1);
  Tunnel tunnel(server, options);
  for (const Bytes& packet : {compressible(), build(inner(1200))}) {
    tunnel.tun.push_packet(packet);
    Packet got = tunnel.receive();
    CHECK_EQ(got.type, int{kData});
    CHECK_EQ(got.payload, packet);
  }
  CHECK_EQ(tunnel.counters().txCompressed.get(), 0u);
}

TEST(broken_compressed_packets_are_dropped) {
  Server server;
  TunnelOptions options = plain_options();
  options.cstp_compression = ocvpn::pkt::Compression::kLz4;
  Tunnel tunnel(server, options);
  tunnel.send(kCompressed, {0xff, 0xff, 0xff});
  const Bytes packet = compressible();
  tunnel.send(kCompressed, packed(ocvpn::pkt::Compression::kLz4, packet));
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  CHECK_COUNTED(tunnel.counters().dropsMalformed, 1u);
}

// Compression of one channel says nothing about the other.
TEST(compression_is_agreed_on_for_each_channel) {
  Server server;
  TunnelOptions options = plain_options();
  options.dtls_compression = ocvpn::pkt::Compression::kLz4;
  Tunnel tunnel(server, options);
  tunnel.send(kCompressed, packed(ocvpn::pkt::Compression::kLz4, compressible()));
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::error);
}

TEST(garbage_behind_the_connect_request_ends_the_tunnel) {
  Server server;
  Tunnel tunnel(server, plain_options(), {'x', 'y', 'z'});
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK(closed->reason == CloseReason::error);
}

TEST(data_over_dtls_both_ways) {
  for (const char* cipher : {"PSK-AES256-GCM-SHA384", "PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305"}) {
    Server server;
    Tunnel tunnel(server);
    REQUIRE(tunnel.start_dtls(cipher));
    CHECK_EQ(std::string(SSL_get_cipher_name(tunnel.dtls->ssl())), std::string(cipher));
    Bytes packet = build(inner(700));
    tunnel.dtls->send(kData, packet);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    tunnel.tun.push_packet(packet);
    Packet got = tunnel.dtls->receive();
    CHECK_EQ(got.type, int{kData});
    CHECK_EQ(got.payload, packet);
    CHECK_COUNTED(tunnel.counters().dtlsActive, 1u);
    CHECK_COUNTED(tunnel.counters().rxDtlsPackets, 1u);
    CHECK_COUNTED(tunnel.counters().txDtlsPackets, 1u);
  }
}

TEST(server_prefers_the_strongest_suite) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls("PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384"));
  CHECK_EQ(std::string(SSL_get_cipher_name(tunnel.dtls->ssl())), std::string("PSK-AES256-GCM-SHA384"));
}

// Steps the client until the server gives the handshake up. false: it did not.
static bool is_refused(Server& server, Tunnel& tunnel, DtlsClient& client) {
  bool down = eventually([&] {
    if (!client.failed) client.step();
    server.udp().dispatch(server.engine(), tunnel.id);
    return server.event(EventType::dtls_down, 0).has_value();
  });
  return down && !server.event(EventType::dtls_up, 0).has_value();
}

// The server cannot read the client's Finished, so that the handshake hangs until its time is over.
TEST(a_wrong_psk_gets_no_channel) {
  Server server(100);
  Tunnel tunnel(server);
  DtlsClient client(server.udp().address());
  client.use_psk(Bytes(32, 7));
  CHECK(is_refused(server, tunnel, client));
  Bytes packet = build(inner(50));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
}

TEST(legacy_session_is_resumed) {
  for (const char* cipher : {"AES256-GCM-SHA384", "AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
                             "ECDHE-RSA-AES128-GCM-SHA256"}) {
    Server server;
    TunnelOptions options = plain_options();
    Bytes secret(48, 0x42), session(32, 0x17);
    options.dtls.mode = DtlsMode::legacy;
    options.dtls.ciphers = cipher;
    std::copy(secret.begin(), secret.end(), options.dtls.master_secret.begin());
    std::copy(session.begin(), session.end(), options.dtls.session_id.begin());
    Tunnel tunnel(server, options);
    DtlsClient client(server.udp().address());
    client.use_session(secret, session, cipher);
    REQUIRE(tunnel.finish_dtls(client));
    CHECK(client.resumed());
    REQUIRE(server.event(EventType::dtls_up).has_value());
    Bytes packet = build(inner(300));
    client.send(kData, packet);
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
  }
}

TEST(legacy_session_with_another_secret_or_id_is_refused) {
  for (bool wrong_id : {false, true}) {
    Server server(100);
    TunnelOptions options = plain_options();
    options.dtls.mode = DtlsMode::legacy;
    options.dtls.ciphers = "AES256-GCM-SHA384";
    options.dtls.master_secret.fill(0x42);
    options.dtls.session_id.fill(0x17);
    Tunnel tunnel(server, options);
    DtlsClient client(server.udp().address());
    client.use_session(Bytes(48, wrong_id ? 0x42 : 0x43), Bytes(32, wrong_id ? 0x18 : 0x17), "AES256-GCM-SHA384");
    CHECK(is_refused(server, tunnel, client));
  }
}

TEST(dpd_request_is_echoed_whole_on_its_channel) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  for (size_t length : {size_t{0}, size_t{1}, size_t{1399}}) {
    Bytes payload = Random(length).bytes(length);
    tunnel.send(kDpdOut, payload);
    Packet answer = tunnel.receive();
    CHECK_EQ(answer.type, int{kDpdResp});
    CHECK_EQ(answer.payload, payload);
    tunnel.dtls->send(kDpdOut, payload);
    answer = tunnel.dtls->receive();
    CHECK_EQ(answer.type, int{kDpdResp});
    CHECK_EQ(answer.payload, payload);
  }
}

TEST(a_large_dtls_probe_raises_the_mtu) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->send(kDpdOut, Bytes(1420, 0x5a));
  CHECK_EQ(tunnel.dtls->receive().payload.size(), 1420u);
  auto event = server.event(EventType::mtu);
  REQUIRE(event.has_value());
  CHECK_EQ(event->mtu, 1420u);
  // Beyond the limit it is answered, but proves nothing that we may use.
  tunnel.dtls->send(kDpdOut, Bytes(1435, 0x5a));
  CHECK_EQ(tunnel.dtls->receive().payload.size(), 1435u);
  // And over TLS the size says nothing about the UDP path.
  tunnel.send(kDpdOut, Bytes(1430, 0x5a));
  CHECK_EQ(tunnel.receive().payload.size(), 1430u);
  Bytes packet = build(inner(1420 - 28));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.dtls->receive().payload.size(), packet.size());
  CHECK(!server.event(EventType::mtu, 0).has_value());
}

TEST(disconnect_codes_are_told_apart) {
  struct Case {
    Bytes payload;
    CloseReason reason;
  };
  const Case cases[] = {
      {{0xb0, 'b', 'y', 'e'}, CloseReason::user_disconnect},
      {{}, CloseReason::temporary_disconnect},
      {{0x91}, CloseReason::temporary_disconnect},
      {{0xd1}, CloseReason::error},
      {{0x70, 'x'}, CloseReason::error},
  };
  for (const Case& test : cases) {
    Server server;
    Tunnel tunnel(server);
    tunnel.send(kDisconnect, test.payload);
    auto closed = server.event(EventType::closed);
    REQUIRE(closed.has_value());
    CHECK_EQ(closed->reason, test.reason);
  }
}

TEST(disconnect_text_in_the_log_is_printable) {
  Server server;
  Tunnel tunnel(server);
  tunnel.send(kDisconnect, {0xb0, 'a', '\n', 0x1b, 'z'});
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(std::string(closed->detail), std::string("DISCONNECT 0xb0 from the client: a..z"));
}

TEST(what_a_client_must_not_send_ends_its_tunnel) {
  Bytes short_length = cstp(kData, build(inner(10)));
  short_length[5] -= 1;
  Bytes bad_magic = cstp(kData, build(inner(10)));
  bad_magic[0] = 'X';
  Bytes two = concat(cstp(kKeepalive, {}), cstp(kKeepalive, {}));
  for (const Bytes& record : {cstp(kCompressed, {1, 2}), cstp(kTerminate, {}), short_length, bad_magic, two, Bytes{1}}) {
    Server server;
    Tunnel tunnel(server);
    tunnel.send_raw(record);
    auto closed = server.event(EventType::closed);
    REQUIRE(closed.has_value());
    CHECK_EQ(closed->reason, CloseReason::error);
    CHECK(closed->detail[0] != '\0');
  }
}

TEST(unknown_types_and_keepalives_are_harmless) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.send(6, {1, 2, 3});
  tunnel.send(kKeepalive, {});
  tunnel.send(kDpdResp, {});
  tunnel.dtls->send(6, {1, 2, 3});
  tunnel.dtls->send(kKeepalive, {});
  Bytes packet = build(inner(50));
  tunnel.dtls->send(kData, packet);
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  tunnel.send(kDpdOut, {});
  CHECK_EQ(tunnel.receive().type, int{kDpdResp});
  CHECK_COUNTED(tunnel.counters().dropsMalformed, 2u);
}

TEST(only_the_clients_own_addresses_pass) {
  Server server;
  TunnelOptions options = plain_options();
  options.has_client_ipv4 = true;
  options.client_ipv4 = {10, 1, 2, 3};
  Tunnel tunnel(server, options);
  Model mine = inner(40), foreign = inner(40);
  mine.src = {10, 1, 2, 3};
  foreign.src = {10, 1, 2, 4};
  tunnel.send(kData, build(foreign));
  tunnel.send(kData, {0x45, 0});
  tunnel.send(kData, build(mine));
  CHECK_EQ(tunnel.tun.pop_packet(), build(mine));
  CHECK_COUNTED(tunnel.counters().dropsSource, 1u);
  CHECK_COUNTED(tunnel.counters().dropsMalformed, 1u);
}
