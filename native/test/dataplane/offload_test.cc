// Super-packets and bursts: every combination of offloads gives the same packets.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <map>

#include "dataplane/test_client.h"

using namespace ocvpn::test;
using ocvpn::dataplane::Offloads;

namespace {

struct Combination {
  bool dtls, vnet, segment, gro, coalesce, batch;
  // Not a combination of its own, which would double them: either value meets both values of each other switch.
  bool pace() const { return dtls ^ vnet ^ segment ^ gro ^ coalesce ^ batch; }
  bool own() const { return dtls ^ segment ^ batch; }
  bool spread() const { return vnet ^ gro ^ batch; }
};

std::vector<Combination> combinations() {
  std::vector<Combination> all;
  for (int bits = 0; bits < 64; ++bits) {
    all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0, (bits & 32) != 0});
  }
  return all;
}

TunnelOptions options_of(const Combination& c) {
  TunnelOptions options = plain_options();
  options.tun_vnet_hdr = options.tun_tso = options.tun_uso = c.vnet;
  options.offloads = Offloads{c.segment, c.gro, c.coalesce, c.batch, c.pace(), true, c.own(), c.spread(), c.spread()};
  return options;
}

std::string name_of(const Combination& c) {
  char text[112];
  std::snprintf(text, sizeof text, "dtls %d vnet %d segment %d gro %d coalesce %d batch %d pace %d own %d spread %d", c.dtls, c.vnet,
                c.segment, c.gro, c.coalesce, c.batch, c.pace(), c.own(), c.spread());
  return text;
}

// Packets of one TCP stream towards the client, as super-packets or one by one.
std::vector<Bytes> push_stream(Tunnel& tunnel, bool vnet, size_t total) {
  Random random(seed());
  Model model = inner(total, true, random.one_in(2) ? 6 : 4);
  model.tcp_options = Bytes(12, 1);
  model.flags = 0x10;
  size_t mss = 1400 - model.headers();
  std::vector<Bytes> packets;
  for (const Model& segment : model_segments(model, mss)) packets.push_back(build(segment));
  if (vnet) {
    tunnel.tun.push(model_super_frame(model, mss));
  } else {
    for (const Bytes& packet : packets) tunnel.tun.push(packet);
  }
  return packets;
}

Bytes receive_data(Tunnel& tunnel, bool dtls) {
  Packet packet = dtls ? tunnel.dtls->receive() : tunnel.receive();
  return packet.type == kData ? packet.payload : Bytes();
}

}  // namespace

TEST(every_combination_carries_the_same_packets_out) {
  for (const Combination& c : combinations()) {
    Server server;
    Tunnel tunnel(server, options_of(c));
    if (c.dtls && !CHECK(tunnel.start_dtls())) return;
    for (size_t total : {size_t{60000}, size_t{1}, size_t{3000}}) {
      std::vector<Bytes> expected = push_stream(tunnel, c.vnet, total);
      for (const Bytes& packet : expected) {
        if (receive_data(tunnel, c.dtls) == packet) continue;
        fail(__FILE__, __LINE__, "another packet came with " + name_of(c));
        return;
      }
    }
    bool grouped = tunnel.counters().udpSegmented.get() > 0;
    if (c.dtls && c.segment && c.vnet) CHECK(grouped);
    if (!c.segment || !c.dtls) CHECK(!grouped);
    if (c.vnet) CHECK_COUNTED(tunnel.counters().tunSuperPackets, 2u);
    if (!c.dtls && c.batch && c.vnet) CHECK(tunnel.counters().tlsWrites.get() <= 8);
  }
}

TEST(every_combination_carries_the_same_packets_in) {
  for (const Combination& c : combinations()) {
    Server server;
    Tunnel tunnel(server, options_of(c));
    if (c.dtls && !CHECK(tunnel.start_dtls())) return;
    Model model = inner(40000, true);
    model.flags = 0x10;
    std::vector<Bytes> expected;
    for (const Model& segment : model_segments(model, 1360)) expected.push_back(build(segment));
    for (const Bytes& packet : expected) c.dtls ? tunnel.dtls->send(kData, packet) : tunnel.send(kData, packet);
    std::vector<Bytes> got;
    while (got.size() < expected.size()) {
      Bytes frame = tunnel.tun.pop();
      if (frame.empty()) break;
      if (!c.vnet) {
        got.push_back(frame);
        continue;
      }
      Expanded expanded = expand(frame);
      CHECK(expanded.valid);
      for (const Bytes& packet : expanded.packets) got.push_back(packet);
    }
    if (got != expected) fail(__FILE__, __LINE__, "other packets came with " + name_of(c));
    if (!c.vnet || !c.coalesce) CHECK_EQ(tunnel.counters().tunCoalesced.get(), 0u);
  }
}

namespace {

// A burst of four super-packets and an echo request behind it: how many packets of the burst came after the echo.
size_t passed_by_echo(Server& server, const TunnelOptions& options) {
  Tunnel tunnel(server, options);
  if (!CHECK(tunnel.start_dtls())) return 0;
  Model bulk = inner(60000, true);
  const Bytes echo = build(inner(40));
  std::vector<Bytes> expected, frames;
  for (int i = 0; i < 4; ++i, bulk.seq += 60000) {
    for (const Model& segment : model_segments(bulk, 1400 - bulk.headers())) expected.push_back(build(segment));
    frames.push_back(model_super_frame(bulk, 1400 - bulk.headers()));
  }
  // Made before, since the loop does not wait for them.
  for (const Bytes& frame : frames) tunnel.tun.push(frame);
  tunnel.tun.push_packet(echo);
  std::vector<Bytes> got;
  size_t echo_at = expected.size() + 1;
  for (size_t i = 0; i <= expected.size(); ++i) {
    const Bytes packet = receive_data(tunnel, true);
    if (packet == echo) {
      echo_at = i;
    } else {
      got.push_back(packet);
    }
  }
  CHECK(got == expected);
  CHECK(echo_at <= expected.size());
  return expected.size() - echo_at;
}

}  // namespace

TEST(a_small_packet_of_another_flow_passes_a_burst_that_waits) {
  Server server;
  TunnelOptions options = plain_options();
  // Once is enough: a loop that the machine let wait does not hold what follows.
  CHECK(eventually([&] { return passed_by_echo(server, options) > 0 || failures() > 0; }));
  options.offloads.send_pace = false;
  for (int i = 0; i < 5; ++i) CHECK_EQ(passed_by_echo(server, options), 0u);
}

TEST(a_small_packet_stays_behind_its_own_flow) {
  Server server;
  Tunnel tunnel(server);
  if (!CHECK(tunnel.start_dtls())) return;
  Model bulk = inner(60000, true);
  for (int round = 0; round < 20; ++round) {
    std::vector<Bytes> expected;
    for (const size_t length : {size_t{60000}, size_t{60000}, size_t{60000}, size_t{10}}) {
      bulk.payload.resize(length);
      for (const Model& segment : model_segments(bulk, 1400 - bulk.headers())) expected.push_back(build(segment));
      length > 1000 ? tunnel.tun.push(model_super_frame(bulk, 1400 - bulk.headers())) : tunnel.tun.push_packet(expected.back());
      bulk.seq += static_cast<uint32_t>(length);
    }
    for (const Bytes& packet : expected) {
      if (!CHECK(receive_data(tunnel, true) == packet)) return;
    }
  }
}

TEST(a_burst_of_segments_becomes_one_tun_write) {
  Server server;
  Model model = inner(20000, true);
  model.flags = 0x10;
  Bytes head;
  for (const Model& segment : model_segments(model, 1360)) head = concat(head, cstp(kData, build(segment)));
  Tunnel tunnel(server, plain_options(), head);  // all of it is there at once
  Expanded expanded = expand(tunnel.tun.pop());
  CHECK_EQ(expanded.packets.size(), 15u);
  CHECK_COUNTED(tunnel.counters().tunWrites, 1u);
  CHECK_COUNTED(tunnel.counters().tunCoalesced, 14u);
}

TEST(acks_of_a_burst_are_thinned_only_when_asked_for) {
  for (const bool on : {true, false}) {
    Server server;
    Model ack = inner(0, true);
    ack.flags = 0x10;
    ack.tcp_options.clear();
    ack.reserved = 0;
    Bytes head;
    for (int i = 0; i < 6; ++i) {
      ack.ack += 2800;
      head = concat(head, cstp(kData, build(ack)));
    }
    TunnelOptions options = plain_options();
    options.offloads.ack_filter = on;
    Tunnel tunnel(server, options, head);
    CHECK(eventually([&] { return tunnel.counters().rxPackets.get() == 6; }));
    std::vector<Bytes> packets = expand(tunnel.tun.pop()).packets;
    for (int i = 1; i < 6 && !on; ++i) packets = expand(tunnel.tun.pop()).packets;
    CHECK(packets == std::vector<Bytes>({build(ack)}));
    CHECK_COUNTED(tunnel.counters().tunWrites, on ? 1u : 6u);
    CHECK_COUNTED(tunnel.counters().acksFiltered, on ? 5u : 0u);
  }
}

TEST(udp_super_packets_are_cut_too) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Model model = inner(12000, false);
  tunnel.tun.push(model_super_frame(model, 1000));
  for (const Model& segment : model_segments(model, 1000)) CHECK_EQ(tunnel.dtls->receive().payload, build(segment));
}

TEST(segments_above_the_mtu_are_cut_smaller) {
  Server server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  Model model = inner(30000, true);
  model.flags = 0x10;
  tunnel.tun.push(model_super_frame(model, 8000));
  Bytes stream;
  while (stream.size() < model.payload.size()) {
    Packet packet = tunnel.dtls->receive();
    REQUIRE(packet.type == kData);
    CHECK(packet.payload.size() <= 1400);
    stream = concat(stream, parse_model(packet.payload).payload);
  }
  CHECK_EQ(stream, model.payload);
}

TEST(a_packet_above_the_mtu_is_answered_with_icmp) {
  for (int version : {4, 6}) {
    Server server;
    TunnelOptions options = plain_options();
    options.has_local_ipv4 = options.has_local_ipv6 = true;
    options.local_ipv4 = {10, 9, 8, 1};
    options.local_ipv6[0] = 0xfd;
    Tunnel tunnel(server, options);
    Model model = inner(1500, false, version);
    model.df = true;
    model.src = version == 4 ? Bytes{10, 0, 0, 5} : Bytes{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
    model.dst = version == 4 ? Bytes{10, 9, 8, 2} : Bytes{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    tunnel.tun.push_packet(build(model));
    Bytes answer = tunnel.tun.pop_packet();
    REQUIRE(answer.size() > 48);
    size_t icmp = version == 4 ? 20 : 40;
    CHECK_EQ(int{answer[icmp]}, version == 4 ? 3 : 2);
    CHECK_EQ(int{answer[icmp + 1]}, version == 4 ? 4 : 0);
    CHECK_EQ(answer[icmp + 6] << 8 | answer[icmp + 7], 1400);
    CHECK_COUNTED(tunnel.counters().dropsTooBig, 1u);
  }
}

TEST(malformed_frames_from_the_tun_are_dropped) {
  Server server;
  Tunnel tunnel(server);
  tunnel.tun.push({1, 2, 3});
  tunnel.tun.push(Bytes(60, 0xff));
  Bytes packet = build(inner(10));
  tunnel.tun.push_packet(packet);
  CHECK_EQ(tunnel.receive().payload, packet);
  CHECK_COUNTED(tunnel.counters().dropsMalformed, 2u);
}

// Tens of megabytes each way, compared by digest.
TEST(long_transfers_arrive_whole_and_in_order) {
  for (bool dtls : {false, true}) {
    Server server;
    Tunnel tunnel(server);
    if (dtls) REQUIRE(tunnel.start_dtls());
    SHA256_CTX sent, received;
    SHA256_Init(&sent);
    SHA256_Init(&received);
    size_t rounds = 400;
    Model model = inner(60000, true);
    model.flags = 0x10;
    for (size_t round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < model.payload.size(); i += 97) model.payload[i] = static_cast<uint8_t>(round + i);
      SHA256_Update(&sent, model.payload.data(), model.payload.size());
      tunnel.tun.push(model_super_frame(model, 1340));
      for (size_t got = 0; got < model.payload.size();) {
        Bytes packet = receive_data(tunnel, dtls);
        if (!CHECK(packet.size() > 40)) return;
        SHA256_Update(&received, packet.data() + 20 + (packet[32] >> 4) * 4,
                      packet.size() - 20 - static_cast<size_t>(packet[32] >> 4) * 4);
        got += packet.size() - 20 - static_cast<size_t>(packet[32] >> 4) * 4;
      }
      model.seq += static_cast<uint32_t>(model.payload.size());
    }
    unsigned char a[32], b[32];
    SHA256_Final(a, &sent);
    SHA256_Final(b, &received);
    CHECK(std::memcmp(a, b, 32) == 0);
    CHECK(tunnel.counters().txBytes.get() > 24000000u);
  }
}
