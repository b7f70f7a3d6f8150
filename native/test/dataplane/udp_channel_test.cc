// The UDP channel under change and attack: replays, garbage, roaming, restarts, rekeys, the way back to TCP.
#include "dataplane/test_client.h"

using namespace ocvpn::test;

namespace {

// A packet over DTLS each way proves that the association works.
bool dtls_works(Tunnel& tunnel, size_t size) {
  Bytes packet = build(inner(size));
  tunnel.dtls->send(kData, packet);
  if (tunnel.tun.pop_packet() != packet) return false;
  tunnel.tun.push_packet(packet);
  Packet got;
  do got = tunnel.dtls->receive();
  while (got.type == kKeepalive);
  return got.type == kData && got.payload == packet;
}

// The server has worked off all commands and datagrams that came before.
void settle(Tunnel& tunnel) {
  tunnel.send(kDpdOut, {});
  CHECK_EQ(tunnel.receive().type, int{kDpdResp});
}

sockaddr_in own_address(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

// A UDP socket of somebody else.
class Stranger {
 public:
  Stranger() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  ~Stranger() { close(fd_); }
  sockaddr_in address() { return own_address(fd_); }
  bool hears_something() { return wait_readable(fd_, kPatienceMs); }

 private:
  int fd_;
};

}  // namespace

TEST(a_replayed_client_hello_leaves_the_tunnel_alone) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Stranger stranger;
  const Bytes& hello = tunnel.dtls->sent.front();
  server.engine().attach_udp(tunnel.id, server.udp().connected(stranger.address()), true, hello.data(), hello.size());
  REQUIRE(stranger.hears_something());  // a ServerHello for whoever it is
  CHECK(dtls_works(tunnel, 300));
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
  CHECK(!server.event(EventType::dtls_up, 0).has_value());
}

TEST(a_replayed_record_is_dropped_and_counted) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Bytes packet = build(inner(100)), marker = build(inner(101));
  tunnel.dtls->send(kData, packet);
  Bytes record = tunnel.dtls->sent.back();
  tunnel.dtls->send_raw(record);
  tunnel.dtls->send_raw(record);
  tunnel.dtls->send(kData, marker);
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  CHECK_EQ(tunnel.tun.pop_packet(), marker);
  CHECK_COUNTED(tunnel.counters().dropsReplay, 2u);
}

TEST(an_association_that_rested_works_again) {
  Server server(200);
  TunnelOptions options = plain_options();
  options.keepalive_sec = 10;  // of the server's fast seconds: long after the session gave its buffers back
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  for (size_t size : {100, 1300}) {
    CHECK_EQ(tunnel.dtls->receive().type, int{kKeepalive});
    CHECK(dtls_works(tunnel, size));
  }
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
}

TEST(a_probe_larger_than_the_library_may_answer_is_lost_and_nothing_else) {
  Server server;
  TunnelOptions options = plain_options();
  options.offloads.own_records = false;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->send(kDpdOut, Bytes(5000, 0));
  tunnel.dtls->send(kDpdOut, Bytes(2000, 0));
  Packet answer = tunnel.dtls->receive();
  CHECK_EQ(answer.type, int{kDpdResp});
  CHECK_EQ(answer.payload.size(), 2000u);
  CHECK(dtls_works(tunnel, 300));
}

TEST(records_are_taken_in_any_order_within_the_window_and_once) {
  constexpr size_t kWindow = 64;
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  // One that is held back, and then as many as the window has.
  std::vector<Bytes> packets, records;
  for (size_t i = 0; i <= kWindow; ++i) {
    packets.push_back(build(inner(100 + i)));
    records.push_back(tunnel.dtls->record(kData, packets.back()));
  }
  Random random(seed());
  std::vector<size_t> order;
  for (size_t i = 1; i <= kWindow; ++i) order.insert(order.begin() + random.between(0, order.size()), i);
  for (size_t i : order) tunnel.dtls->send_raw(records[i]);
  for (size_t i : order) CHECK_EQ(tunnel.tun.pop_packet(), packets[i]);
  CHECK_EQ(tunnel.counters().dropsReplay.get(), 0u);
  // All of them again, and the one that is too old by now.
  for (size_t i : order) tunnel.dtls->send_raw(records[i]);
  tunnel.dtls->send_raw(records[0]);
  CHECK(dtls_works(tunnel, 300));
  CHECK_COUNTED(tunnel.counters().dropsReplay, kWindow + 1);
  CHECK_EQ(tunnel.counters().dropsMalformed.get(), 0u);
}

TEST(garbage_datagrams_are_dropped) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Random random(seed());
  tunnel.dtls->send(kData, build(inner(60)));
  tunnel.tun.pop();
  Bytes record = tunnel.dtls->sent.back();
  for (int i = 0; i < 300; ++i) {
    Bytes datagram = random.bytes(random.between(1, 200));
    if (random.one_in(2)) {
      datagram = record;
      datagram[random.between(5, datagram.size() - 1)] ^= static_cast<uint8_t>(random.between(1, 255));
    }
    if (random.one_in(3)) datagram[0] = static_cast<uint8_t>(random.between(20, 24));
    if (random.one_in(5)) datagram.resize(random.between(1, datagram.size()));
    tunnel.dtls->send_raw(datagram);
    // Now and then a good one, so that the flood does not overflow the socket's buffer.
    if (i % 30 == 29) CHECK(dtls_works(tunnel, 200));
  }
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
  CHECK(tunnel.counters().dropsMalformed.get() > 0);
}

TEST(garbage_as_a_hello_changes_nothing) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Random random(seed());
  for (int i = 0; i < 50; ++i) {
    Stranger stranger;
    Bytes hello = tunnel.dtls->sent.front();
    for (int k = 0; k < 4; ++k) hello[random.below(hello.size())] ^= static_cast<uint8_t>(random.between(1, 255));
    hello.resize(random.between(1, hello.size()));
    server.engine().attach_udp(tunnel.id, server.udp().connected(stranger.address()), random.one_in(2), hello.data(),
                               hello.size());
  }
  settle(tunnel);
  CHECK(dtls_works(tunnel, 300));
}

TEST(a_roamed_client_is_followed) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->move();
  Bytes packet = build(inner(400));
  tunnel.dtls->send(kData, packet);
  REQUIRE(eventually([&] { return server.udp().dispatch(server.engine(), tunnel.id) > 0; }));
  auto roamed = server.event(EventType::roamed);
  REQUIRE(roamed.has_value());
  CHECK(roamed->accepted);
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  CHECK(dtls_works(tunnel, 500));
}

TEST(the_answer_to_a_roamed_probe_goes_to_the_new_address) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->move();
  tunnel.dtls->send(kDpdOut, Bytes(10, 1));
  REQUIRE(eventually([&] { return server.udp().dispatch(server.engine(), tunnel.id) > 0; }));
  CHECK_EQ(tunnel.dtls->receive().type, int{kDpdResp});
}

TEST(a_stranger_cannot_roam_into_a_session) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->send(kData, build(inner(60)));
  tunnel.tun.pop();
  Bytes replayed = tunnel.dtls->sent.back(), forged = replayed;
  forged[11] ^= 1;
  forged.back() ^= 1;
  for (const Bytes& datagram : {replayed, forged, Bytes(40, 23)}) {
    Stranger stranger;
    server.engine().attach_udp(tunnel.id, server.udp().connected(stranger.address()), false, datagram.data(),
                               datagram.size());
    auto roamed = server.event(EventType::roamed);
    REQUIRE(roamed.has_value());
    CHECK(!roamed->accepted);
    CHECK(dtls_works(tunnel, 300));
  }
}

TEST(a_new_handshake_from_another_address_takes_over) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  auto old = std::move(tunnel.dtls);
  REQUIRE(tunnel.start_dtls());
  CHECK(dtls_works(tunnel, 300));
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
}

TEST(a_new_handshake_from_the_same_address_takes_over) {
  Server server(1000);  // the pause between two hand-overs passes in 3 ms
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  REQUIRE(dtls_works(tunnel, 100));
  poll(nullptr, 0, 10);
  tunnel.dtls->restart(tunnel.psk);
  REQUIRE(eventually([&] { return tunnel.dtls->step() || tunnel.dtls->failed; }));
  CHECK(server.event(EventType::dtls_up).has_value());
  CHECK(dtls_works(tunnel, 300));
}

TEST(a_lost_flight_is_sent_again) {
  Server server;
  Tunnel tunnel(server);
  tunnel.dtls = std::make_unique<DtlsClient>(server.udp().address());
  tunnel.dtls->use_psk(tunnel.psk);
  tunnel.dtls->deaf_for = 1;  // loses the server's first flight
  REQUIRE(tunnel.finish_dtls(*tunnel.dtls));
  CHECK_EQ(tunnel.dtls->sent.size(), 2u);  // the server did not wait for another hello
  CHECK(server.event(EventType::dtls_up).has_value());
  CHECK(dtls_works(tunnel, 300));
}

TEST(close_notify_on_dtls_falls_back_to_tls) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  tunnel.dtls->shutdown();
  REQUIRE(server.event(EventType::dtls_down).has_value());
  Bytes packet = build(inner(300));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
  CHECK_EQ(tunnel.counters().dtlsActive.get(), 0u);
  REQUIRE(tunnel.start_dtls());
  CHECK(dtls_works(tunnel, 200));
}

TEST(data_on_tls_moves_the_answers_to_tls_until_dtls_speaks_again) {
  Server server(1000);  // the 15 s after a hand-over pass in 15 ms
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  poll(nullptr, 0, 30);
  Bytes packet = build(inner(200));
  tunnel.send(kData, packet);
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
  tunnel.dtls->send(kKeepalive, {});
  REQUIRE(eventually([&] { return tunnel.counters().dtlsActive.get() == 1; }));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.dtls->receive().payload, packet);
}

TEST(data_on_tls_right_after_the_hand_over_does_not_switch) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Bytes packet = build(inner(200));
  tunnel.send(kData, packet);
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.dtls->receive().payload, packet);
}

TEST(switch_to_tcp_when_nothing_comes_over_udp) {
  Server server(1000);
  TunnelOptions options = plain_options();
  options.switch_to_tcp_sec = 25;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  poll(nullptr, 0, 60);
  Bytes packet = build(inner(200));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
  tunnel.dtls->send(kDpdOut, {});
  REQUIRE(tunnel.dtls->receive().type == kDpdResp);
}

TEST(dtls_rekey_is_accepted_at_its_rate) {
  Server server(1000);
  TunnelOptions options = plain_options();
  options.rekey_sec = 20;  // may come again after 10 s: 10 ms of this clock
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  for (int i = 0; i < 3; ++i) {
    poll(nullptr, 0, 20);
    REQUIRE(tunnel.dtls->renegotiate());
    REQUIRE(eventually([&] { return tunnel.dtls->step() || tunnel.dtls->failed; }));
    REQUIRE(dtls_works(tunnel, 250));
  }
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
}

TEST(a_record_from_before_a_rekey_is_dropped) {
  Server server(1000);
  TunnelOptions options = plain_options();
  options.rekey_sec = 20;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  REQUIRE(dtls_works(tunnel, 100));
  const Bytes old = tunnel.dtls->sent.back();
  poll(nullptr, 0, 20);
  REQUIRE(tunnel.dtls->renegotiate());
  REQUIRE(eventually([&] { return tunnel.dtls->step() || tunnel.dtls->failed; }));
  REQUIRE(dtls_works(tunnel, 110));
  tunnel.dtls->send_raw(old);
  REQUIRE(dtls_works(tunnel, 120));
  CHECK_COUNTED(tunnel.counters().dropsMalformed, 1u);
}

// It is in the epoch that ends, and the client has seen hundreds of records of it.
TEST(a_lost_last_flight_of_a_rekey_is_sent_again) {
  Server server(1000);
  TunnelOptions options = plain_options();
  options.rekey_sec = 20;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  for (size_t i = 0; i < 200; ++i) REQUIRE(dtls_works(tunnel, 100));
  poll(nullptr, 0, 20);
  tunnel.dtls->loses_change_cipher_spec = true;
  REQUIRE(tunnel.dtls->renegotiate());
  REQUIRE(eventually([&] { return tunnel.dtls->step() || tunnel.dtls->failed; }));
  CHECK(!tunnel.dtls->loses_change_cipher_spec);
  CHECK(!tunnel.dtls->failed);
  CHECK(dtls_works(tunnel, 250));
  CHECK(!server.event(EventType::dtls_down, 0).has_value());
}

TEST(the_farewell_is_heard_after_much_data) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  for (size_t i = 0; i < 100; ++i) REQUIRE(dtls_works(tunnel, 100));
  server.engine().terminate(tunnel.id, true, CloseReason::server_disconnect);
  CHECK_EQ(tunnel.dtls->receive().type, -2);
}

TEST(dtls_rekey_too_soon_ends_the_association) {
  Server server;
  TunnelOptions options = plain_options();
  options.rekey_sec = 3600;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  REQUIRE(tunnel.dtls->renegotiate());
  tunnel.dtls->step();
  CHECK(server.event(EventType::dtls_down).has_value());
  Bytes packet = build(inner(200));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
}

// The answer is the no_renegotiation warning, at which this client gives the association up with an alert.
TEST(without_rekey_time_renegotiation_is_refused) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  REQUIRE(tunnel.dtls->renegotiate());
  CHECK(eventually([&] { return tunnel.dtls->step() || tunnel.dtls->failed; }));
  CHECK(tunnel.dtls->failed);
  CHECK(server.event(EventType::dtls_down).has_value());
  settle(tunnel);
  CHECK(!server.event(EventType::closed, 0).has_value());
}

TEST(udp_for_a_tunnel_that_wants_none_is_closed) {
  Server server;
  TunnelOptions options = plain_options();
  options.dtls.mode = DtlsMode::none;
  Tunnel tunnel(server, options);
  DtlsClient client(server.udp().address());
  client.use_psk(tunnel.psk);
  client.step();
  REQUIRE(eventually([&] { return server.udp().dispatch(server.engine(), tunnel.id) > 0; }));
  server.engine().attach_udp(99, socket(AF_INET, SOCK_DGRAM, 0), true, client.sent[0].data(), client.sent[0].size());
  settle(tunnel);
  CHECK(!server.event(EventType::dtls_up, 0).has_value());
}
