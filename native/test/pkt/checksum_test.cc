#include "pkt/checksum.h"

#include "pkt/checksum_blocks.h"
#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

ConstView view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

struct Parsed {
  Bytes bytes;
  IpPacket ip;
  explicit Parsed(Bytes packet) : bytes(std::move(packet)) { CHECK_EQ(parse_ip(view(bytes), &ip), IpError::kNone); }
  bool verify() const { return verify_l4_checksum(view(bytes), ip); }
  bool write() { return write_l4_checksum({bytes.data(), bytes.size()}, ip); }
};

/** ICMP or ICMPv6 echo request with its right checksum. */
Bytes echo(int version) {
  const Bytes icmp = {static_cast<uint8_t>(version == 4 ? 8 : 128), 0, 0, 0, 1, 2, 3, 4, 5};
  Bytes packet(version == 4 ? 20 : 40);
  packet[0] = version == 4 ? 0x45 : 0x60;
  packet[version == 4 ? 3 : 5] = version == 4 ? 29 : 9;
  packet[version == 4 ? 9 : 6] = version == 4 ? 1 : 58;
  Bytes covered = icmp;
  if (version == 6) covered = concat(concat(Bytes(32), {0, 0, 0, 9, 0, 0, 0, 58}), icmp);
  const uint16_t sum = model_checksum(covered);
  packet = concat(packet, icmp);
  packet[packet.size() - 7] = static_cast<uint8_t>(sum >> 8);
  packet[packet.size() - 6] = static_cast<uint8_t>(sum);
  return packet;
}

}  // namespace

TEST(example_of_rfc_1071) {
  // Section 3: the words 0001 f203 f4f5 f6f7 add up to 2ddf0, folded ddf2.
  const Bytes bytes = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  CHECK_EQ(sum_fold(sum_bytes(view(bytes))), 0xddf2);
}

TEST(known_ipv4_header) {
  // The header worked out in many textbooks: 192.168.0.1 to 192.168.0.199, checksum b861.
  Bytes header = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                  0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  write_ipv4_checksum({header.data(), header.size()});
  CHECK_EQ(header[10], 0xb8);
  CHECK_EQ(header[11], 0x61);
}

TEST(sums_equal_the_model) {
  Random random(seed());
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = random.bytes(random.below(200));
    if (random.one_in(4)) bytes.assign(bytes.size(), 0xff);  // every addition carries
    if (random.one_in(8)) bytes.assign(bytes.size(), 0);
    CHECK_EQ(static_cast<uint16_t>(~sum_fold(sum_bytes(view(bytes)))), model_checksum(bytes));
    const size_t cut = bytes.size() / 4 * 2;
    const uint64_t parts = sum_bytes(view(bytes).from(cut), sum_bytes(view(bytes).sub(0, cut)));
    CHECK_EQ(sum_fold(parts), sum_fold(sum_bytes(view(bytes))));
  }
  const Bytes large(65575, 0xff);
  CHECK_EQ(static_cast<uint16_t>(~sum_fold(sum_bytes(view(large), ~uint64_t{0}))),
           model_checksum(concat(Bytes(8, 0xff), large)));
}

TEST(every_way_to_sum_blocks_equals_the_model) {
  Random random(seed());
  for (int round = 0; round < 500; ++round) {
    Bytes bytes = random.bytes(kSumBlock * random.below(40));
    if (random.one_in(4)) bytes.assign(bytes.size(), random.one_in(2) ? 0xff : 0x80);  // ends of the signed range
    for (const SumBlocks sum : {sum_blocks_anywhere, fastest_sum_blocks()}) {
      CHECK_EQ(static_cast<uint16_t>(~sum_fold(sum(bytes.data(), bytes.size()))), model_checksum(bytes));
    }
  }
  for (const uint8_t byte : {0x00, 0x7f, 0x80, 0xff}) {
    const Bytes largest(kMaxSum, byte);
    for (const SumBlocks sum : {sum_blocks_anywhere, fastest_sum_blocks()}) {
      CHECK_EQ(static_cast<uint16_t>(~sum_fold(sum(largest.data(), largest.size()))), model_checksum(largest));
    }
  }
}

TEST(right_and_wrong_checksums) {
  Random random(seed());
  for (int round = 0; round < 2000; ++round) {
    Parsed p(build(random_model(random, random.one_in(2) ? 4 : 6, random.one_in(2), random.below(300), false)));
    const Bytes right = p.bytes;
    CHECK(p.verify());
    const size_t at = random.between(p.ip.l4_offset, p.bytes.size() - 1);
    p.bytes[at] ^= static_cast<uint8_t>(1 << random.below(8));
    CHECK(!p.verify());
    const bool length_changed = p.ip.protocol == kProtoUdp && (at == p.ip.l4_offset + 4u || at == p.ip.l4_offset + 5u);
    if (length_changed) continue;
    CHECK(p.write());
    CHECK(p.verify());
    p.bytes = right;
    CHECK(p.write());
    CHECK_EQ(p.bytes, right);
  }
}

TEST(icmp_checksums) {
  for (const int version : {4, 6}) {
    Parsed p(echo(version));
    CHECK(p.verify());
    const Bytes right = p.bytes;
    p.bytes.back() ^= 1;
    CHECK(!p.verify());
    p.bytes = right;
    p.bytes[p.ip.l4_offset + 2] ^= 0xff;
    CHECK(p.write());
    CHECK_EQ(p.bytes, right);
  }
  // ICMPv6 over IPv4 and ICMP over IPv6 have no checksum rule.
  for (const int version : {4, 6}) {
    Bytes bytes = echo(version);
    bytes[version == 4 ? 9 : 6] = version == 4 ? 58 : 1;
    Parsed crossed(bytes);
    CHECK(!crossed.verify() && !crossed.write());
  }
}

TEST(udp_covers_its_own_length) {
  Random random(seed());
  const Bytes packet = build(random_model(random, 4, false, 10, true));
  Bytes padded = concat(packet, {1, 2, 3});  // inside the IP packet, behind the datagram
  padded[3] = static_cast<uint8_t>(padded[3] + 3);
  Parsed p(padded);
  CHECK(p.verify());
  CHECK(p.write());
  CHECK_EQ(p.bytes, padded);
}

TEST(udp_without_checksum) {
  Random random(seed());
  for (const int version : {4, 6}) {
    Model m = random_model(random, version, false, 10, true);
    m.udp_no_checksum = true;
    CHECK_EQ(Parsed(build(m)).verify(), version == 4);
  }
}

TEST(udp_checksum_is_never_zero) {
  Model m;
  m.tcp = false;
  m.src = m.dst = Bytes(4);
  m.payload = Bytes(2);
  for (unsigned word = 0; word < 0x10000; ++word) {
    m.payload[0] = static_cast<uint8_t>(word >> 8);
    m.payload[1] = static_cast<uint8_t>(word);
    const Bytes right = build(m);
    if (right[26] != 0xff || right[27] != 0xff) continue;
    Parsed p(right);
    CHECK(p.write());
    CHECK_EQ(p.bytes, right);
    return;
  }
  CHECK(!"no payload gave an all-ones checksum");
}

TEST(what_cannot_be_checked) {
  Random random(seed());
  Model m = random_model(random, 4, true, 10, true);
  Bytes fragment = build(m);
  fragment[6] = 0x20;
  CHECK(!Parsed(fragment).verify() && !Parsed(fragment).write());
  Bytes other = build(m);
  other[9] = 132;
  CHECK(!Parsed(other).verify() && !Parsed(other).write());
  Bytes cut = build(m);
  cut.resize(20 + 17);
  cut[2] = 0;
  cut[3] = 37;
  CHECK(!Parsed(cut).verify() && !Parsed(cut).write());
  Bytes udp = build(random_model(random, 4, false, 10, true));
  udp[25] = 7;
  CHECK(!Parsed(udp).verify() && !Parsed(udp).write());
}
