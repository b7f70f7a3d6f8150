// Batches of datagrams on sockets that refuse: the backlog, and doing without UDP_SEGMENT.
#include <net/if.h>
#include <sys/ioctl.h>

#include "dataplane/dataplane_fixture.h"
#include "dataplane/udp_socket.h"
#include "io/udp_socket.h"

using namespace ocvpn::test;
using ocvpn::dataplane::UdpBatch;
using ocvpn::dataplane::UdpReceiver;
using ocvpn::dataplane::UdpSocket;

namespace {

// A pair of datagram sockets; unix ones know no UDP_SEGMENT and refuse when the reader is behind.
struct Pair {
  int near = -1;
  int far = -1;
  explicit Pair(bool udp) {
    if (!udp) {
      int fds[2];
      if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
      near = fds[0];
      far = fds[1];
      int size = 4096;  // a few datagrams
      setsockopt(near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      return;
    }
    UdpPort port;
    far = dup(port.fd());
    near = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(near, reinterpret_cast<const sockaddr*>(&port.address()), sizeof(sockaddr_in)) != 0) std::abort();
  }
  ~Pair() { close(far); }
  Bytes read() {
    Bytes datagram(70000);
    ssize_t got = recv(far, datagram.data(), datagram.size(), MSG_DONTWAIT);
    datagram.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return datagram;
  }
};

Bytes record(size_t index, size_t length) { return Bytes(length, static_cast<uint8_t>(index)); }

}  // namespace

TEST(equal_records_leave_in_one_call) {
  Pair pair(true);
  UdpSocket socket(pair.near, true, false);
  UdpBatch batch;
  Counters counters;
  for (size_t i = 0; i < 20; ++i) batch.add(&socket, record(i, i == 19 ? 500 : 1000).data(), i == 19 ? 500 : 1000, &counters);
  batch.flush(&socket, &counters);
  for (size_t i = 0; i < 20; ++i) CHECK_EQ(pair.read(), record(i, i == 19 ? 500 : 1000));
  CHECK_EQ(counters.udpSends.get(), 1u);
  CHECK_EQ(counters.udpSegmented.get(), 20u);
}

TEST(sizes_segments_and_bytes_bound_a_batch) {
  Pair pair(true);
  UdpSocket socket(pair.near, true, false);
  UdpBatch batch;
  Counters counters;
  std::vector<size_t> sizes;
  for (int i = 0; i < 70; ++i) sizes.push_back(90);    // more than 64 segments
  for (int i = 0; i < 60; ++i) sizes.push_back(1300);  // more than 65507 bytes
  sizes.insert(sizes.end(), {100, 200, 50, 60, 60});   // growing, shrinking
  for (size_t i = 0; i < sizes.size(); ++i) batch.add(&socket, record(i, sizes[i]).data(), sizes[i], &counters);
  batch.flush(&socket, &counters);
  for (size_t i = 0; i < sizes.size(); ++i) CHECK_EQ(pair.read(), record(i, sizes[i]));
  CHECK(pair.read().empty());
}

TEST(a_record_that_is_no_datagram_is_counted) {
  Pair pair(true);
  UdpSocket socket(pair.near, true, false);
  UdpBatch batch;
  Counters counters;
  Bytes large(70000);
  batch.add(&socket, large.data(), large.size(), &counters);
  CHECK(batch.empty());
  CHECK_EQ(counters.dropsTooBig.get(), 1u);
}

TEST(without_udp_segment_and_with_a_full_socket_nothing_is_lost) {
  for (bool segment : {false, true}) {
    Pair pair(false);
    UdpSocket socket(pair.near, segment, false);
    UdpBatch batch;
    Counters counters;
    constexpr size_t kCount = 60;
    for (size_t i = 0; i < kCount; ++i) batch.add(&socket, record(i, 1000).data(), 1000, &counters);
    batch.flush(&socket, &counters);
    REQUIRE(socket.blocked());
    for (size_t i = 0; i < kCount; ++i) {
      CHECK_EQ(pair.read(), record(i, 1000));
      socket.flush_backlog(&counters);
    }
    CHECK(!socket.blocked());
    CHECK_EQ(counters.udpSegmented.get(), 0u);
    CHECK_EQ(counters.udpSends.get(), kCount);
  }
}

TEST(records_that_do_not_share_a_call_go_singly) {
  Pair pair(true);
  UdpSocket socket(pair.near, true, false);
  UdpBatch batch;
  Counters counters;
  // Two records of 40000 bytes are too long for one call.
  for (size_t i = 0; i < 2; ++i) batch.add(&socket, record(i, 40000).data(), 40000, &counters);
  batch.flush(&socket, &counters);
  for (size_t i = 0; i < 2; ++i) CHECK_EQ(pair.read(), record(i, 40000));
}

TEST(who_reads_a_new_clients_socket_takes_its_filter_off) {
  const auto connected = ocvpn::io::connect_udp({"127.0.0.1", 0}, {"127.0.0.1", 9});
  REQUIRE(connected.ok());
  const auto instructions = [](int fd) {
    socklen_t count = 0;
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &count), 0);
    return count;
  };
  CHECK(instructions(connected.value().get()) > 0);
  UdpSocket socket(dup(connected.value().get()), true, true);
  CHECK_EQ(instructions(connected.value().get()), 0u);
  UdpSocket without(dup(connected.value().get()), true, true);
  CHECK(without.is_open());
}

TEST(gro_bursts_are_read_whole) {
  for (bool gro : {false, true}) {
    Pair pair(true);
    UdpSocket receiver(dup(pair.far), false, gro);
    UdpSocket sender(pair.near, true, false);
    UdpBatch batch;
    UdpReceiver buffers;
    Counters counters;
    for (size_t i = 0; i < 30; ++i) batch.add(&sender, record(i, 1000).data(), 1000, &counters);
    batch.flush(&sender, &counters);
    Bytes all;
    int count;
    while ((count = buffers.receive(receiver, &counters)) > 0) {
      for (int i = 0; i < count; ++i) {
        const auto& burst = buffers.received(i);
        CHECK_EQ(burst.segment, 1000u);
        all.insert(all.end(), burst.data, burst.data + burst.length);
      }
    }
    REQUIRE(all.size() == 30000);
    for (size_t i = 0; i < 30; ++i) CHECK_EQ(int{all[i * 1000]}, static_cast<int>(i));
    CHECK_EQ(counters.udpGroReceives.get() > 0, gro);
  }
}

TEST(nobody_at_the_other_end_is_noticed) {
  Pair pair(true);
  close(pair.far);
  pair.far = -1;
  UdpSocket socket(pair.near, false, false);
  UdpBatch batch;
  Counters counters;
  bool refused = eventually([&] {
    batch.add(&socket, record(1, 100).data(), 100, &counters);
    batch.flush(&socket, &counters);
    return socket.take_refused();
  });
  CHECK(refused);
  CHECK(!socket.take_refused());
}
