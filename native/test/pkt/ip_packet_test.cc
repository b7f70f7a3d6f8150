#include "pkt/ip_packet.h"

#include "pkt/flow_filter.h"
#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

IpError parse(const Bytes& packet, IpPacket* out) {
  return parse_ip({packet.data(), packet.size()}, out);
}
IpError parse(const Bytes& packet) {
  IpPacket ip;
  return parse(packet, &ip);
}

/** IPv6 packet with these extension headers in front of 8 bytes of UDP. */
Bytes ipv6(const std::vector<Extension>& chain) {
  Model m;
  m.version = 6;
  m.tcp = false;
  m.src = Bytes(16, 0xaa);
  m.dst = Bytes(16, 0xbb);
  m.extensions = chain;
  return build(m);
}

Extension extension(uint8_t type, size_t length, uint8_t length_field) {
  Extension e{type, Bytes(length)};
  e.bytes[1] = length_field;
  return e;
}

ConstView view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

TEST(fields_of_whole_packets) {
  Random random(seed());
  for (int round = 0; round < 2000; ++round) {
    const Model m = random_model(random, random.one_in(2) ? 4 : 6, random.one_in(2), random.below(100), false);
    const Bytes packet = build(m);
    const Bytes padded = concat(packet, Bytes(random.below(5)));
    IpPacket ip;
    REQUIRE(parse(padded, &ip) == IpError::kNone);
    CHECK_EQ(int{ip.version}, m.version);
    CHECK_EQ(ip.protocol, m.tcp ? kProtoTcp : kProtoUdp);
    CHECK_EQ(size_t{ip.l4_offset}, m.ip_header());
    CHECK_EQ(size_t{ip.total_length}, packet.size());
    CHECK_EQ(ip.has_options, m.ip_header() != (m.version == 4 ? 20u : 40u));
    CHECK(!ip.fragment && ip.has_l4_header());
    CHECK(ip.src(view(packet)).equals(view(m.src)));
    CHECK(ip.dst(view(packet)).equals(view(m.dst)));
  }
}

TEST(truncated_packets_are_refused) {
  Random random(seed());
  for (const int version : {4, 6}) {
    const Bytes packet = build(random_model(random, version, true, 10, false));
    for (size_t length = 0; length < packet.size(); ++length) {
      CHECK(parse(Bytes(packet.begin(), packet.begin() + static_cast<long>(length))) != IpError::kNone);
    }
  }
}

TEST(malformed_ipv4) {
  Random random(seed());
  const Bytes good = build(random_model(random, 4, true, 10, true));
  const auto with = [&](size_t at, uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return parse(bad);
  };
  CHECK_EQ(parse({}), IpError::kTruncated);
  CHECK_EQ(parse(Bytes(19, 0x45)), IpError::kTruncated);
  CHECK_EQ(with(0, 0x55), IpError::kBadVersion);
  CHECK_EQ(with(0, 0x44), IpError::kBadHeaderLength);
  CHECK_EQ(parse(Bytes(20, 0x46)), IpError::kBadHeaderLength);
  CHECK_EQ(with(3, 19), IpError::kBadTotalLength);
  CHECK_EQ(with(2, 0xff), IpError::kBadTotalLength);
}

TEST(ipv4_fragments) {
  Random random(seed());
  Bytes packet = build(random_model(random, 4, true, 10, true));
  struct Case {
    uint8_t high, low;
    bool fragment, first;
  };
  for (const Case& c : {Case{0x40, 0, false, false}, Case{0x80, 0, false, false}, Case{0x20, 0, true, true},
                        Case{0x20, 1, true, false}, Case{0, 1, true, false}, Case{0x1f, 0, true, false}}) {
    packet[6] = c.high;
    packet[7] = c.low;
    IpPacket ip;
    REQUIRE(parse(packet, &ip) == IpError::kNone);
    CHECK_EQ(ip.fragment, c.fragment);
    CHECK_EQ(ip.first_fragment, c.first);
    CHECK_EQ(ip.has_l4_header(), !c.fragment || c.first);
  }
}

TEST(ipv6_extension_headers) {
  struct Case {
    Extension header;
    size_t length;
  };
  for (const Case& c : {Case{extension(0, 16, 1), 16}, Case{extension(60, 8, 0), 8}, Case{extension(43, 24, 2), 24},
                        Case{extension(51, 24, 4), 24}, Case{extension(135, 8, 0), 8}}) {
    IpPacket ip;
    REQUIRE(CHECK_EQ(parse(ipv6({c.header, c.header}), &ip), IpError::kNone));
    CHECK_EQ(ip.l4_offset, 40 + 2 * c.length);
    CHECK_EQ(ip.protocol, kProtoUdp);
    CHECK(ip.has_options);
  }
}

TEST(ipv6_fragments) {
  struct Case {
    uint8_t high, low;
    bool fragment, first;
  };
  for (const Case& c : {Case{0, 0, false, false} /* atomic */, Case{0, 1, true, true}, Case{0, 8, true, false},
                        Case{0, 9, true, false}, Case{1, 0, true, false}}) {
    Extension fragment = extension(44, 8, 0);
    fragment.bytes[2] = c.high;
    fragment.bytes[3] = c.low;
    IpPacket ip;
    // In a later fragment the destination options are payload.
    REQUIRE(parse(ipv6({fragment, extension(60, 8, 0)}), &ip) == IpError::kNone);
    CHECK_EQ(ip.fragment, c.fragment);
    CHECK_EQ(ip.first_fragment, c.first);
    CHECK_EQ(ip.protocol, c.fragment && !c.first ? kProtoDestOptions : kProtoUdp);
    CHECK_EQ(ip.l4_offset, c.fragment && !c.first ? 48 : 56);
  }
}

TEST(malformed_ipv6) {
  CHECK_EQ(parse(Bytes(39, 0x60)), IpError::kTruncated);
  CHECK_EQ(parse(ipv6({extension(60, 8, 3)})), IpError::kBadExtensionHeader);
  CHECK_EQ(parse(ipv6({extension(51, 8, 200)})), IpError::kBadExtensionHeader);
  CHECK_EQ(parse(ipv6(std::vector<Extension>(8, extension(60, 8, 0)))), IpError::kNone);
  CHECK_EQ(parse(ipv6(std::vector<Extension>(9, extension(60, 8, 0)))), IpError::kTooManyExtensions);
  Bytes jumbo = ipv6({extension(0, 8, 0)});
  jumbo[4] = jumbo[5] = 0;
  CHECK_EQ(parse(jumbo), IpError::kBadTotalLength);
}

TEST(source_filter) {
  Random random(seed());
  const Bytes v4 = build(random_model(random, 4, true, 0, true));
  const Bytes v6 = build(random_model(random, 6, true, 0, true));
  IpPacket ip4, ip6;
  REQUIRE(parse(v4, &ip4) == IpError::kNone && parse(v6, &ip6) == IpError::kNone);

  SourceFilter any;
  CHECK(any.allows(view(v4), ip4) && any.allows(view(v6), ip6));
  SourceFilter nothing;
  nothing.enforce();
  CHECK(!nothing.allows(view(v4), ip4) && !nothing.allows(view(v6), ip6));

  SourceFilter only4;
  only4.set_ipv4(ip4.src(view(v4)));
  CHECK(only4.allows(view(v4), ip4) && !only4.allows(view(v6), ip6));
  Bytes other = v4;
  other[15] ^= 1;
  CHECK(!only4.allows(view(other), ip4));

  for (unsigned prefix = 0; prefix <= 128; ++prefix) {
    SourceFilter filter;
    filter.set_ipv6(ip6.src(view(v6)), prefix);
    CHECK(!filter.allows(view(v4), ip4));
    for (unsigned bit = 0; bit < 128; ++bit) {
      Bytes flipped = v6;
      flipped[8 + bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      CHECK_EQ(filter.allows(view(flipped), ip6), bit >= prefix);
    }
  }
}

TEST(idle_neutral_protocols) {
  const auto neutral = [](uint8_t version, uint8_t protocol) {
    IpPacket ip;
    ip.version = version;
    ip.protocol = protocol;
    return is_idle_neutral(ip);
  };
  CHECK(neutral(4, 1) && neutral(4, 2) && neutral(6, 58));
  CHECK(!neutral(4, 6) && !neutral(4, 17) && !neutral(6, 6) && !neutral(4, 58) && !neutral(6, 1));
}
