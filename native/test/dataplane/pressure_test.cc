// Clients that do not read, floods, rates, and many sessions on one loop.
#include <malloc.h>

#include <atomic>
#include <thread>

#include "dataplane/test_client.h"

using namespace ocvpn::test;

#if defined(__SANITIZE_ADDRESS__)
// sanitizer/allocator_interface.h, which not every GCC brings.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace {

// Fills a tun until told to stop.
class Feeder {
 public:
  Feeder(TestTun& tun, Bytes frame)
      : thread_([this, &tun, frame] {
          while (!stop_) {
            if (!tun.offer(frame)) poll(nullptr, 0, 1);
          }
        }) {}
  ~Feeder() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Bytes bulk_frame() {
  Model model = inner(60000, true);
  model.flags = 0x10;
  return model_super_frame(model, 1340);
}

// Of the whole process. mallinfo2() knows nothing of the sanitizer's allocator.
size_t heap_bytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  return mallinfo2().uordblks;
#endif
}

}  // namespace

TEST(a_resting_session_gives_its_buffers_back) {
  if (with_processes()) return;  // its heap is not ours to look at
  Server server(2);
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  const Bytes packet = build(inner(1000, true));
  for (int i = 0; i < 2; ++i) {
    tunnel.tun.push_packet(packet);
    CHECK_EQ(tunnel.dtls->receive().payload, packet);
    tunnel.send(kData, packet);
    CHECK(expand(tunnel.tun.pop()).packets == std::vector<Bytes>({packet}));
    const size_t busy = heap_bytes();
    // The input buffer, and all of OpenSSL's own where it reads the records.
    CHECK(eventually([&] { return heap_bytes() + ocvpn::TlsStream::kInputCapacity <= busy; }));
  }
}

TEST(a_client_that_stops_reading_is_closed) {
  Server server(20);
  Tunnel tunnel(server);
  Feeder feeder(tunnel.tun, bulk_frame());
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK_EQ(closed->reason, CloseReason::error);
  CHECK_EQ(std::string(closed->detail), std::string("the client stopped reading"));
}

TEST(a_client_that_reads_slowly_stays) {
  // 10 s of blocking are 2 s: a loaded machine may keep the reader waiting for more than the 500 ms of a faster clock.
  Server server(5);
  Tunnel tunnel(server);
  Feeder feeder(tunnel.tun, bulk_frame());
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(3500);
  while (std::chrono::steady_clock::now() < end) {
    poll(nullptr, 0, 5);
    for (int i = 0; i < 400; ++i) REQUIRE(tunnel.receive(0).type != -3);
  }
  CHECK(!server.event(EventType::closed, 0).has_value());
}

TEST(the_tun_is_not_read_while_tcp_takes_nothing) {
  Server server;
  Tunnel tunnel(server);
  Bytes frame = bulk_frame();
  // Nobody reads: what the loop keeps is bounded, and after a while it leaves the rest to the tun, which fills up.
  REQUIRE(eventually([&] {
    while (tunnel.tun.offer(frame)) continue;
    const uint64_t dropped = tunnel.counters().dropsStreamFull.get();
    // A loop that was only slow goes on.
    poll(nullptr, 0, 50);
    return dropped > 0 && tunnel.counters().dropsStreamFull.get() == dropped && !tunnel.tun.offer(frame);
  }));
  // All that was taken arrives once the client reads again.
  const uint64_t taken = tunnel.counters().txBytes.get();
  size_t got = 0;
  while (got < taken) {
    Packet packet = tunnel.receive();
    REQUIRE(packet.type == kData);
    got += packet.payload.size();
  }
}

// What leaves towards a client that reads nothing, bytes.
uint64_t taken_without_reader(Tunnel& tunnel) {
  const Bytes frame = bulk_frame();
  uint64_t taken = 0;
  CHECK(eventually([&] {
    while (tunnel.tun.offer(frame)) continue;
    taken = tunnel.counters().txBytes.get();
    poll(nullptr, 0, 50);
    return tunnel.counters().txBytes.get() == taken && !tunnel.tun.offer(frame);
  }));
  return taken;
}

TEST(the_socket_holds_little_that_has_not_been_sent) {
  Server server;
  TunnelOptions options = plain_options();
  Tunnel with(server, options);
  const uint64_t taken = taken_without_reader(with);
  CHECK(with.counters().dropsStreamFull.get() > 0);
  options.offloads.stream_room = false;
  Tunnel without(server, options);
  // Its socket has a buffer of some megabytes.
  CHECK(taken_without_reader(without) > taken + 512 * 1024);
  CHECK_EQ(without.counters().dropsStreamFull.get(), 0u);
}

const Bytes bulk_packet = build(inner(1300));

// Bulk, of which the client reads nothing, until so many packets wait in the loop.
bool let_wait(Tunnel& tunnel, uint64_t packets) {
  return CHECK(eventually([&] {
    for (int i = 0; i < 16; ++i) tunnel.tun.offer(concat(Bytes(10), bulk_packet));
    const uint64_t sent = tunnel.counters().txPackets.get();
    return tunnel.counters().tunReads.get() >= sent + packets;
  }));
}

// The client reads until this packet comes.
bool read_up_to(Tunnel& tunnel, const Bytes& wanted) {
  Packet packet = tunnel.receive();
  while (packet.type == kData && packet.payload != wanted) packet = tunnel.receive();
  return CHECK(packet.type == kData);
}

TEST(a_small_packet_passes_what_waits_for_tcp) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(let_wait(tunnel, 150));
  const Bytes echo = build(inner(40));
  tunnel.tun.push_packet(echo);
  REQUIRE(read_up_to(tunnel, echo));
  // Of the 195 KB that waited; what is sealed and in the socket's buffer goes first.
  for (size_t behind = 0; behind < 64 * 1024;) {
    const Packet packet = tunnel.receive();
    REQUIRE(packet.type == kData);
    behind += packet.payload.size();
  }
}

TEST(a_small_packet_stays_behind_its_own_flow_over_tcp) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(let_wait(tunnel, 50));
  Model same = inner(1300);
  same.payload.resize(40);
  tunnel.tun.push_packet(build(same));
  REQUIRE(read_up_to(tunnel, build(same)));
  const Bytes next = build(inner(1000));
  tunnel.tun.push_packet(next);
  CHECK_EQ(tunnel.receive().payload, next);
}

TEST(a_flood_of_dpd_requests_without_reading_costs_bounded_memory) {
  Server server;
  Tunnel tunnel(server);
  Bytes request = cstp(kDpdOut, Bytes(16000, 1));
  size_t before = heap_bytes();
  for (int i = 0; i < 2000; ++i) SSL_write(tunnel.ssl(), request.data(), static_cast<int>(request.size()));
  CHECK(heap_bytes() < before + (8u << 20));
}

TEST(one_busy_session_does_not_starve_another) {
  if (with_processes()) return;  // the kernel shares the processor out
  Server server;
  Tunnel busy(server), quiet(server);
  REQUIRE(busy.start_dtls());
  REQUIRE(quiet.start_dtls());
  Feeder feeder(busy.tun, bulk_frame());
  REQUIRE(eventually([&] { return busy.counters().txBytes.get() > 1000000; }));
  // At least 20, and until the busy one has gone on by as much again, which it does in little more.
  for (int i = 0; i < 20 || busy.counters().txBytes.get() <= 2000000; ++i) {
    REQUIRE(i < 20000);
    Bytes packet = build(inner(100));
    quiet.tun.push_packet(packet);
    CHECK_EQ(quiet.dtls->receive().payload, packet);
  }
}

// The limit is in bytes of the loop's seconds, and a bucket holds at most 64 KiB at once.
TEST(rate_to_the_client_is_held_by_a_short_queue) {
  Server server;
  TunnelOptions options = plain_options();
  options.tx_bytes_per_sec = 1000000;
  Tunnel tunnel(server, options);
  Feeder feeder(tunnel.tun, concat(Bytes(10), build(inner(1300))));
  auto start = std::chrono::steady_clock::now();
  size_t got = 0;
  while (got < 600000) {
    Packet packet = tunnel.receive();
    REQUIRE(packet.type == kData);
    got += packet.payload.size();
  }
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(took > (600000.0 - 2 * 65536) / 1000000);
  CHECK(eventually([&] { return tunnel.counters().dropsRateLimit.get() > 0; }));
}

TEST(what_fits_the_queue_is_not_dropped_by_the_rate) {
  Server server;
  TunnelOptions options = plain_options();
  options.tx_bytes_per_sec = 500000;
  Tunnel tunnel(server, options);
  const Bytes packet = build(inner(1300));
  // The bucket and half of the queue.
  constexpr int kPackets = (65536 + 65536) / 1300;
  for (int i = 0; i < kPackets; ++i) tunnel.tun.push_packet(packet);
  for (int i = 0; i < kPackets; ++i) REQUIRE(tunnel.receive().payload == packet);
  CHECK_EQ(tunnel.counters().dropsRateLimit.get(), 0u);
}

TEST(a_small_packet_passes_what_waits_for_the_rate) {
  Server server;
  TunnelOptions options = plain_options();
  options.tx_bytes_per_sec = 50000;
  Tunnel tunnel(server, options);
  {
    Feeder feeder(tunnel.tun, concat(Bytes(10), build(inner(1300))));
    REQUIRE(eventually([&] { return tunnel.counters().dropsRateLimit.get() > 0; }));
  }
  const Bytes echo = build(inner(40));
  tunnel.tun.push_packet(echo);
  // In its turn it would come behind the bucket's 64 KiB and the 128 KiB that wait.
  size_t before = 0;
  for (Packet packet = tunnel.receive(); packet.payload != echo; packet = tunnel.receive()) {
    REQUIRE(packet.type == kData);
    before += packet.payload.size();
  }
  CHECK(before < 65536 + 96 * 1024);
}

TEST(rate_from_the_client_is_held_by_waiting_over_tls) {
  Server server;
  TunnelOptions options = plain_options();
  options.rx_bytes_per_sec = 1000000;
  options.offloads.tun_coalesce = false;  // one frame is one packet
  Tunnel tunnel(server, options);
  auto start = std::chrono::steady_clock::now();
  Bytes packet = build(inner(1300));
  std::thread reader([&] {
    for (int i = 0; i < 500; ++i) tunnel.tun.pop();
  });
  for (int i = 0; i < 500; ++i) CHECK(tunnel.send(kData, packet));
  reader.join();
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // One read brings at most the stream's buffer, which may pass before it is paid for.
  CHECK(took > (500.0 * static_cast<double>(packet.size()) - 3 * 65536) / 1000000);
  CHECK_EQ(tunnel.counters().dropsRateLimit.get(), 0u);
}

TEST(rate_from_the_client_is_held_by_a_short_queue_over_dtls) {
  Server server;
  TunnelOptions options = plain_options();
  options.rx_bytes_per_sec = 200000;
  options.offloads.tun_coalesce = false;
  Tunnel tunnel(server, options);
  REQUIRE(tunnel.start_dtls());
  Bytes packet = build(inner(1000));
  auto start = std::chrono::steady_clock::now();
  // A flood several times the bucket and the queue together.
  for (int i = 0; i < 1000; ++i) tunnel.dtls->send(kData, packet);
  size_t got = 0;
  while (!tunnel.tun.pop(600).empty()) got += packet.size();
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(static_cast<double>(got) < 65536 + 32768 + took * 200000);
  CHECK(got > 65536);
  // It is told with the next datagram; and the session goes on.
  tunnel.dtls->send(kDpdOut, {});
  CHECK_EQ(tunnel.dtls->receive().type, int{kDpdResp});
  while (!tunnel.tun.pop(0).empty()) got += packet.size();
  CHECK_EQ(tunnel.counters().dropsRateLimit.get() + got / packet.size(), 1000u);
}

TEST(many_sessions_share_a_loop) {
  Server server;
  std::vector<std::unique_ptr<Tunnel>> tunnels;
  for (int i = 0; i < 40; ++i) tunnels.push_back(std::make_unique<Tunnel>(server));
  for (size_t i = 0; i < tunnels.size(); i += 2) REQUIRE(tunnels[i]->start_dtls());
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < tunnels.size(); ++i) tunnels[i]->tun.push_packet(build(inner(50 + i)));
    for (size_t i = 0; i < tunnels.size(); ++i) {
      Packet packet = i % 2 == 0 ? tunnels[i]->dtls->receive() : tunnels[i]->receive();
      CHECK_EQ(packet.payload, build(inner(50 + i)));
    }
  }
  for (size_t i = 0; i < tunnels.size(); i += 3) tunnels[i]->send(kDisconnect, {0xb0});
  for (size_t i = 0; i < tunnels.size(); i += 3) CHECK(server.event(EventType::closed).has_value());
  for (size_t i = 1; i < tunnels.size(); i += 3) {
    Bytes packet = build(inner(77));
    tunnels[i]->send(kData, packet);
    CHECK_EQ(tunnels[i]->tun.pop_packet(), packet);
  }
}

TEST(random_records_never_reach_beyond_their_session) {
  Server server;
  Tunnel good(server);
  Random random(seed());
  for (int i = 0; i < 60; ++i) {
    Tunnel bad(server);
    for (int k = 0; k < 5; ++k) {
      Bytes record = random.one_in(2) ? cstp(static_cast<uint8_t>(random.below(12)), random.bytes(random.below(300)))
                                      : random.bytes(random.between(1, 300));
      SSL_write(bad.ssl(), record.data(), static_cast<int>(record.size()));
    }
  }
  Bytes packet = build(inner(77));
  good.send(kData, packet);
  CHECK_EQ(good.tun.pop_packet(), packet);
}
