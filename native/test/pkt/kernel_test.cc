// The packet code against the real kernel: a TCP and a UDP peer played by the model, over a tun device with vnet
// headers.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pkt/coalesce.h"
#include "pkt/segment.h"
#include "support/kernel.h"
#include "support/tun_bed.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

constexpr size_t kMtu = 1400;
constexpr uint16_t kServerPort = 5000;

TunBed& bed() {
  static TunBed the_bed;
  return the_bed;
}

/** False (with a notice) where the kernel cannot be asked. */
bool have_bed() {
  if (bed().error().empty()) return true;
  std::printf("  skipped: %s\n", bed().error().c_str());
  return false;
}

Bytes address(int version, uint8_t host) {
  if (version == 4) return {10, 77, 0, host};
  Bytes out(16);
  out[0] = 0xfd;
  out[1] = 0x77;
  out[15] = host;
  return out;
}

/** What the client sends next: plain packet fields towards the server. */
Model client(int version, bool tcp) {
  Model m;
  m.version = version;
  m.tcp = tcp;
  m.src = address(version, 2);
  m.dst = address(version, 1);
  m.sport = 40000;
  m.dport = kServerPort;
  m.window = 65535;
  m.seq = 1000;
  return m;
}

void write_plain(const Model& m) {
  const Bytes frame = concat(Bytes(kVnetHeaderSize), build(m));
  CHECK(bed().write_frame(frame.data(), frame.size()));
}

/** Reads frames until one is an answer to `to`, and cuts it up as the data plane does. Empty when nothing came. */
std::vector<Model> read_packets(const Model& to, bool* super_packet) {
  for (;;) {
    Bytes frame = bed().read_frame();
    if (!CHECK(!frame.empty())) return {};
    *super_packet = frame[1] != 0;
    Segmenter segmenter;
    if (!CHECK_EQ(segmenter.begin({frame.data(), frame.size()}, kMtu), SegmentResult::kOk)) return {};
    std::vector<Model> out;
    MutView packet;
    while (segmenter.next(&packet)) {
      const Bytes bytes(packet.data(), packet.data() + packet.size());
      out.push_back(parse_model(bytes));
      CHECK_EQ(build(out.back()), bytes);  // all checksums and lengths are what the model would write
    }
    // Earlier tests' connections may still be saying goodbye.
    if (out[0].version == to.version && out[0].tcp == to.tcp) return out;
  }
}

/** Pushes the packets through a coalescer into the tun; the number of frames that it took. */
size_t write_coalesced(const std::vector<Model>& packets) {
  Coalescer coalescer(true, bed().uso());
  size_t frames = 0;
  const auto sink = [&](ConstView frame) {
    ++frames;
    CHECK(bed().write_frame(frame.data(), frame.size()));
  };
  for (const Model& m : packets) {
    Bytes frame = concat(Bytes(kVnetHeaderSize), build(m));
    IpPacket ip;
    CHECK_EQ(parse_ip(ConstView(frame.data(), frame.size()).from(kVnetHeaderSize), &ip), IpError::kNone);
    coalescer.push({frame.data(), frame.size()}, ip, sink);
  }
  coalescer.flush(sink);
  return frames;
}

/** Three-way handshake; `next` becomes the client's packet after it. The accepted socket, -1 on failure. */
int connect_client(int listener, Model* next) {
  CHECK_EQ(listen(listener, 1), 0);
  next->flags = 2;
  next->tcp_options = {2, 4, 5, 0x3c};  // MSS 1340: fits IPv6 in the MTU
  write_plain(*next);
  bool super_packet = false;
  const std::vector<Model> reply = read_packets(*next, &super_packet);
  if (reply.size() != 1 || !CHECK_EQ(int{reply[0].flags}, 0x12)) return -1;
  next->flags = 0x10;
  next->tcp_options.clear();
  next->seq += 1;
  next->ack = reply[0].seq + 1;
  write_plain(*next);
  return accept(listener, nullptr, nullptr);
}

Bytes receive(int fd, size_t size) {
  Bytes out(size);
  size_t got = 0;
  while (got < size) {
    const ssize_t length = recv(fd, out.data() + got, size - got, 0);
    if (length <= 0) break;
    got += static_cast<size_t>(length);
  }
  out.resize(got);
  return out;
}

void check_upload(int fd, Model* next) {
  Model whole = *next;
  whole.payload = Random(seed()).bytes(48 * 1340);  // as much as one super-packet takes
  const size_t frames = write_coalesced(model_segments(whole, 1340));
  CHECK_EQ(frames, 1u);
  CHECK(receive(fd, whole.payload.size()) == whole.payload);
  next->seq += static_cast<uint32_t>(whole.payload.size());
}

void check_download(int fd, Model* next) {
  const Bytes data = Random(seed() + 1).bytes(60000);
  CHECK_EQ(send(fd, data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
  Bytes got;
  size_t super_packets = 0;
  while (got.size() < data.size()) {
    bool super_packet = false;
    const std::vector<Model> packets = read_packets(*next, &super_packet);
    if (packets.empty()) return;
    super_packets += super_packet ? 1 : 0;
    for (const Model& m : packets) {
      if (m.seq != next->ack) continue;  // retransmission, or an ACK of the upload
      got = concat(got, m.payload);
      next->ack += static_cast<uint32_t>(m.payload.size());
    }
    write_plain(*next);
  }
  CHECK(got == data);
  CHECK(super_packets > 0);
}

}  // namespace

TEST(tcp_both_ways) {
  if (!have_bed()) return;
  for (const int version : {4, 6}) {
    const int listener = socket_bound(version, SOCK_STREAM, kServerPort);
    Model next = client(version, true);
    const int fd = connect_client(listener, &next);
    if (CHECK(fd >= 0)) {
      check_upload(fd, &next);
      check_download(fd, &next);
      close(fd);
    }
    close(listener);
  }
}

TEST(udp_upload) {
  if (!have_bed()) return;
  for (const int version : {4, 6}) {
    const int fd = socket_bound(version, SOCK_DGRAM, kServerPort);
    Model whole = client(version, false);
    whole.payload = Random(seed()).bytes(30 * 1000 + 77);
    const std::vector<Model> packets = model_segments(whole, 1000);
    const size_t frames = write_coalesced(packets);
    CHECK_EQ(frames, bed().uso() ? 1 : packets.size());
    for (const Model& m : packets) {
      Bytes datagram(2000);
      const ssize_t length = recv(fd, datagram.data(), datagram.size(), 0);
      datagram.resize(length > 0 ? static_cast<size_t>(length) : 0);
      if (!CHECK_EQ(datagram, m.payload)) break;
    }
    close(fd);
  }
}

TEST(udp_download) {
  if (!have_bed()) return;
  for (const int version : {4, 6}) {
    const int fd = socket_bound(version, SOCK_DGRAM, kServerPort);
    const int size = 1000;
    CHECK_EQ(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size), 0);
    const Bytes data = Random(seed()).bytes(5 * 1000 + 77);
    // Connected to the client's address by a first datagram from there, as a real server would answer.
    const Model peer = client(version, false);
    write_plain(peer);
    sockaddr_storage from = {};
    socklen_t from_size = sizeof from;
    char none = 0;
    CHECK_EQ(recvfrom(fd, &none, 1, 0, reinterpret_cast<sockaddr*>(&from), &from_size), 0);
    CHECK_EQ(sendto(fd, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size),
             static_cast<ssize_t>(data.size()));
    Bytes got;
    size_t datagrams = 0;
    bool super_packet = false;
    while (got.size() < data.size()) {
      const std::vector<Model> packets = read_packets(peer, &super_packet);
      if (packets.empty()) break;
      for (const Model& m : packets) got = concat(got, m.payload);
      datagrams += packets.size();
    }
    CHECK(got == data);
    CHECK_EQ(datagrams, 6u);
    CHECK_EQ(super_packet, bed().uso());
    close(fd);
  }
}

TEST(kernel_drops_a_damaged_packet_that_stays_alone) {
  if (!have_bed()) return;
  const int fd = socket_bound(4, SOCK_DGRAM, kServerPort);
  Model m = client(4, false);
  m.payload = Bytes(100, 1);
  Bytes damaged = build(m);
  damaged.back() ^= 1;
  Model good = m;
  good.payload = Bytes(100, 2);
  Coalescer coalescer(true, bed().uso());
  const auto sink = [&](ConstView frame) { CHECK(bed().write_frame(frame.data(), frame.size())); };
  for (const Bytes& packet : {damaged, build(good)}) {
    Bytes frame = concat(Bytes(kVnetHeaderSize), packet);
    IpPacket ip;
    REQUIRE(parse_ip({packet.data(), packet.size()}, &ip) == IpError::kNone);
    coalescer.push({frame.data(), frame.size()}, ip, sink);
  }
  coalescer.flush(sink);
  Bytes datagram(200);
  const ssize_t length = recv(fd, datagram.data(), datagram.size(), 0);
  CHECK_EQ(length, 100);
  CHECK_EQ(int{datagram[0]}, 2);  // the damaged one, sent first, did not arrive
  close(fd);
}
