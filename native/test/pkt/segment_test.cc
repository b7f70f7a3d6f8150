#include "pkt/segment.h"

#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

constexpr size_t kAnySize = kMaxPacketSize;

SegmentResult begin(Bytes& frame, size_t max_packet) {
  Segmenter segmenter;
  return segmenter.begin({frame.data(), frame.size()}, max_packet);
}

/** All packets of a frame; the headroom of each is overwritten, as a caller may do. */
std::vector<Bytes> segments(Bytes& frame, size_t max_packet) {
  Segmenter segmenter;
  std::vector<Bytes> out;
  if (!CHECK_EQ(segmenter.begin({frame.data(), frame.size()}, max_packet), SegmentResult::kOk)) return out;
  MutView packet;
  while (segmenter.next(&packet)) {
    CHECK(packet.data() - kSegmentHeadroom >= frame.data());
    CHECK(packet.size() <= segmenter.segment_length());
    out.emplace_back(packet.data(), packet.data() + packet.size());
    for (size_t i = 1; i <= kSegmentHeadroom; ++i) packet.data()[-static_cast<long>(i)] = 0xa5;
  }
  CHECK_EQ(out.size(), segmenter.count());
  return out;
}

void check_against_model(const Model& m, size_t mss, size_t max_packet) {
  Bytes frame = model_super_frame(m, mss);
  const size_t room = max_packet - m.headers();
  const std::vector<Model> expected = model_segments(m, mss < room ? mss : room);
  const std::vector<Bytes> got = segments(frame, max_packet);
  if (!CHECK_EQ(got.size(), expected.size())) return;
  for (size_t i = 0; i < got.size(); ++i) CHECK_EQ(got[i], build(expected[i]));
}

/** A TCP super-packet of 3 segments whose vnet header the test then damages. */
struct Damaged {
  Model m;
  Bytes frame;
  Damaged() {
    Random random(1);
    m = random_model(random, 4, true, 3000, true);
    m.tcp_options.clear();
    frame = model_super_frame(m, 1000);
  }
  void vnet(uint8_t flags, uint8_t type, uint16_t hdr_len, uint16_t size, uint16_t start, uint16_t offset) {
    const Bytes header = model_vnet(flags, type, hdr_len, size, start, offset);
    std::copy(header.begin(), header.end(), frame.begin());
  }
};

}  // namespace

TEST(super_packets_equal_the_model) {
  Random random(seed());
  for (int round = 0; round < 3000; ++round) {
    const int version = random.one_in(2) ? 4 : 6;
    const bool tcp = !random.one_in(3);
    const size_t payload = random.one_in(20) ? random.between(30000, 60000) : random.between(0, 6000);
    Model m = random_model(random, version, tcp, payload, false);
    const size_t mss = random.one_in(4) ? random.between(1, 64) : random.between(500, 1500);
    if (payload / mss > 300) continue;
    if (tcp) {
      m.flags = static_cast<uint8_t>(0x10 | (random.next() & 0xe9));  // any but SYN and RST
      m.reserved = static_cast<uint8_t>(random.below(16));
      if ((m.flags & 0x20) != 0) m.urgent = static_cast<uint16_t>(random.below(4000));
    }
    if (version == 6 && random.one_in(4)) m.final_dst = random.bytes(16);
    check_against_model(m, mss, kAnySize);
  }
}

TEST(tcp_is_cut_to_a_smaller_mtu) {
  Random random(seed());
  for (int round = 0; round < 500; ++round) {
    Model m = random_model(random, random.one_in(2) ? 4 : 6, true, random.between(1, 5000), false);
    m.flags = 0x19;
    check_against_model(m, random.between(200, 1460), m.headers() + random.between(50, 1400));
  }
}

TEST(datagrams_are_not_cut) {
  Random random(seed());
  const Model m = random_model(random, 4, false, 3000, true);
  Bytes frame = model_super_frame(m, 1000);
  const Bytes before = frame;
  CHECK_EQ(begin(frame, 1027), SegmentResult::kTooBig);
  CHECK_EQ(frame, before);
  CHECK_EQ(begin(frame, 1028), SegmentResult::kOk);
}

TEST(no_room_for_headers_is_too_big) {
  Random random(seed());
  const Model m = random_model(random, 6, true, 3000, true);
  Bytes frame = model_super_frame(m, 1000);
  CHECK_EQ(begin(frame, m.headers()), SegmentResult::kTooBig);
  CHECK_EQ(begin(frame, m.headers() + 1), SegmentResult::kOk);
}

TEST(short_payload_of_a_large_gso_size_fits) {
  Random random(seed());
  const Model m = random_model(random, 4, false, 100, true);
  check_against_model(m, 60000, 200);
}

TEST(checksum_of_a_plain_packet_is_completed) {
  Random random(seed());
  for (int round = 0; round < 500; ++round) {
    const bool tcp = random.one_in(2);
    Model m = random_model(random, random.one_in(2) ? 4 : 6, tcp, random.between(0, 1400), false);
    Bytes frame = model_super_frame(m, 1);
    frame[1] = 0;                  // GSO_NONE
    frame[4] = frame[5] = 0;       // gso_size
    Bytes expected = build(m);
    const size_t field = m.ip_header() + (tcp ? 16 : 6);
    if (expected[field] == 0 && expected[field + 1] == 0) expected[field] = expected[field + 1] = 0xff;
    const std::vector<Bytes> got = segments(frame, 2000);
    REQUIRE(got.size() == 1);
    CHECK_EQ(got[0], expected);
  }
}

TEST(udp_checksum_is_never_zero) {
  Random random(1);
  Model m = random_model(random, 4, false, 100, true);
  for (unsigned word = 0; word < 0x10000; ++word) {
    m.payload[0] = static_cast<uint8_t>(word >> 8);
    m.payload[1] = static_cast<uint8_t>(word);
    const Bytes expected = build(m);
    if (expected[26] != 0xff || expected[27] != 0xff) continue;
    Bytes single = model_super_frame(m, 1);
    single[1] = 0;
    CHECK(segments(single, 1500) == std::vector<Bytes>{expected});
    check_against_model(m, 100, 1500);
    return;
  }
  CHECK(!"no payload gave an all-ones checksum");
}

TEST(packet_without_offload_is_left_alone) {
  Random random(seed());
  Model m = random_model(random, 4, true, 500, false);
  Bytes packet = build(m);
  packet[m.ip_header() + 16] ^= 0x55;  // not ours to mend
  Bytes frame = concat(Bytes(10), packet);
  REQUIRE(segments(frame, 1500) == std::vector<Bytes>{packet});
  Bytes padded = concat(concat(Bytes(10), packet), Bytes(7));
  REQUIRE(segments(padded, 1500) == std::vector<Bytes>{packet});
}

TEST(too_big_packet_is_not_changed) {
  Random random(seed());
  Model m = random_model(random, 4, true, 1400, true);
  Bytes frame = model_super_frame(m, 1);
  frame[1] = 0;
  const Bytes before = frame;
  const size_t length = frame.size() - 10;
  CHECK_EQ(begin(frame, length - 1), SegmentResult::kTooBig);
  CHECK_EQ(frame, before);
  CHECK_EQ(begin(frame, length), SegmentResult::kOk);
}

TEST(hdr_len_is_a_hint) {
  for (const uint16_t hint : {0, 1, 40, 41, 2000, 3040}) {
    Damaged d;
    d.vnet(1, 1, hint, 1000, 20, 16);
    REQUIRE(segments(d.frame, 1500).size() == 3);
  }
  Damaged d;
  d.vnet(1, 1, 3041, 1000, 20, 16);
  CHECK_EQ(begin(d.frame, 1500), SegmentResult::kBadHdrLen);
}

TEST(bad_vnet_headers) {
  struct Case {
    uint8_t flags, type;
    uint16_t size, start, offset;
    SegmentResult result;
  };
  const Case all[] = {
      {1, 1, 0, 20, 16, SegmentResult::kBadGsoSize},
      {1, 2, 1000, 20, 16, SegmentResult::kBadGsoType},
      {1, 3, 1000, 20, 16, SegmentResult::kBadGsoType},
      {1, 0x80, 1000, 20, 16, SegmentResult::kBadGsoType},
      {1, 0x85, 1000, 20, 6, SegmentResult::kBadGsoType},
      {1, 4, 1000, 20, 16, SegmentResult::kProtocolMismatch},
      {1, 5, 1000, 20, 6, SegmentResult::kProtocolMismatch},
      {0, 1, 1000, 20, 16, SegmentResult::kGsoWithoutChecksum},
      {1, 1, 1000, 24, 16, SegmentResult::kBadChecksumStart},
      {1, 1, 1000, 20, 6, SegmentResult::kBadChecksumStart},
      {1, 1, 1000, 65535, 65535, SegmentResult::kBadChecksumStart},
      {1, 0, 0, 20, 3019, SegmentResult::kBadChecksumStart},
      {1, 0, 0, 65535, 65535, SegmentResult::kBadChecksumStart},
      {1, 0, 0, 19, 16, SegmentResult::kBadChecksumStart},
      {1, 0x81, 1000, 20, 16, SegmentResult::kOk},
      {2, 1, 1000, 20, 16, SegmentResult::kOk},
      {1, 0, 0, 20, 3018, SegmentResult::kOk},
  };
  for (const Case& c : all) {
    Damaged d;
    d.vnet(c.flags, c.type, 40, c.size, c.start, c.offset);
    if (!CHECK_EQ(begin(d.frame, kAnySize), c.result)) {
      std::printf("    flags %d type %d size %d start %d offset %d\n", c.flags, c.type, c.size, c.start, c.offset);
    }
  }
}

TEST(bad_packets) {
  Bytes nothing;
  CHECK_EQ(begin(nothing, 1500), SegmentResult::kTruncated);
  Bytes header_only(10);
  CHECK_EQ(begin(header_only, 1500), SegmentResult::kBadIp);
  {
    Damaged d;
    d.frame[10 + 6] |= 0x20;  // MF
    CHECK_EQ(begin(d.frame, kAnySize), SegmentResult::kFragmentedGso);
    d.vnet(1, 0, 40, 0, 20, 16);
    CHECK_EQ(begin(d.frame, kAnySize), SegmentResult::kBadChecksumStart);
  }
  {
    Damaged d;
    d.frame.push_back(0);  // one byte more than the IP length
    CHECK_EQ(begin(d.frame, kAnySize), SegmentResult::kBadLength);
  }
  {
    Damaged d;
    d.frame[10 + 20 + 12] = 0x40;  // data offset 4
    CHECK_EQ(begin(d.frame, kAnySize), SegmentResult::kBadL4Header);
  }
  for (const uint8_t flag : {0x02, 0x04}) {
    Damaged d;
    d.frame[10 + 20 + 13] |= flag;  // SYN, RST
    CHECK_EQ(begin(d.frame, kAnySize), SegmentResult::kBadL4Header);
  }
  Random random(seed());
  const Model udp = random_model(random, 6, false, 3000, true);
  Bytes frame = model_super_frame(udp, 1000);
  frame[10 + 40 + 5] ^= 1;  // UDP length
  CHECK_EQ(begin(frame, kAnySize), SegmentResult::kBadL4Header);
}

TEST(headers_have_a_limit) {
  Random random(seed());
  for (const size_t options : {4, 8}) {
    Model m = random_model(random, 6, true, 3000, true);
    Extension e{60, Bytes(256)};
    e.bytes[1] = 256 / 8 - 1;
    m.extensions = {e};
    m.tcp_options = Bytes(options);
    Bytes frame = model_super_frame(m, 1000);
    CHECK_EQ(m.headers(), kMaxSegmentHeaders - 4 + options);
    CHECK_EQ(begin(frame, kAnySize), options == 4 ? SegmentResult::kOk : SegmentResult::kHeadersTooLong);
  }
}

TEST(random_frames_stay_inside_the_buffer) {
  // Under ASan: whatever the bytes say, nothing outside the frame is touched and every packet is inside it.
  Random random(seed());
  for (int round = 0; round < 20000; ++round) {
    const int version = random.one_in(2) ? 4 : 6;
    Bytes frame = model_super_frame(random_model(random, version, random.one_in(2), random.below(600), false), 100);
    const size_t front = frame.size() < 80 ? frame.size() : 80;
    for (uint64_t i = random.below(6); i > 0; --i) frame[random.below(front)] = static_cast<uint8_t>(random.next());
    if (random.one_in(3)) frame.resize(random.below(frame.size() + 1));
    frame.shrink_to_fit();
    Segmenter segmenter;
    if (segmenter.begin({frame.data(), frame.size()}, random.between(1, 1500)) != SegmentResult::kOk) continue;
    MutView packet;
    size_t count = 0;
    while (segmenter.next(&packet)) {
      ++count;
      CHECK(packet.data() >= frame.data() + 10 && packet.data() + packet.size() <= frame.data() + frame.size());
    }
    CHECK_EQ(count, segmenter.count());
  }
}
