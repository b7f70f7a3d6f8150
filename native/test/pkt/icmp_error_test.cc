#include "pkt/icmp_error.h"

#include "pkt/checksum.h"
#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

ConstView view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

struct Built {
  IcmpRefusal refusal;
  Bytes bytes;
};

Built too_big(const Bytes& packet, uint32_t mtu, const Bytes& gateway, size_t space = 1280) {
  IpPacket ip;
  CHECK_EQ(parse_ip(view(packet), &ip), IpError::kNone);
  Bytes out(space);
  const IcmpError error = build_packet_too_big(view(packet), ip, mtu, view(gateway), {out.data(), out.size()});
  out.resize(error.length);
  return {error.refusal, out};
}

const Bytes kGateway4 = {10, 1, 2, 3};
const Bytes kGateway6 = Bytes(16, 0x20);

Model offender(int version, size_t payload) {
  Random random(seed());
  Model m = random_model(random, version, true, payload, true);
  m.src[0] = version == 4 ? 192 : 0x20;
  m.dst[0] = version == 4 ? 198 : 0x20;
  m.df = true;
  return m;
}

Bytes part(const Bytes& b, size_t from, size_t to) {
  return {b.begin() + static_cast<long>(from), b.begin() + static_cast<long>(to)};
}

bool checksum_right(const Bytes& packet) {
  IpPacket ip;
  return parse_ip(view(packet), &ip) == IpError::kNone && ip.total_length == packet.size() &&
         verify_l4_checksum(view(packet), ip);
}

}  // namespace

TEST(fragmentation_needed) {
  for (const size_t payload : {size_t{0}, size_t{100}, size_t{3000}}) {
    const Model m = offender(4, payload);
    const Bytes packet = build(m);
    const auto [refusal, error] = too_big(packet, 1300, kGateway4);
    REQUIRE(CHECK_EQ(refusal, IcmpRefusal::kNone));
    CHECK_EQ(error.size(), packet.size() + 28 < 576 ? packet.size() + 28 : 576);
    CHECK_EQ(model_checksum(part(error, 0, 20)), 0);
    CHECK_EQ(model_checksum(part(error, 20, error.size())), 0);
    CHECK_EQ(part(error, 12, 16), kGateway4);
    CHECK_EQ(part(error, 16, 20), m.src);
    CHECK_EQ(part(error, 20, 22), Bytes({3, 4}));
    CHECK_EQ(part(error, 24, 28), Bytes({0, 0, 1300 >> 8, 1300 & 255}));
    CHECK_EQ(part(error, 28, error.size()), part(packet, 0, error.size() - 28));
  }
}

TEST(packet_too_big) {
  for (const size_t payload : {size_t{0}, size_t{100}, size_t{3000}}) {
    const Model m = offender(6, payload);
    const Bytes packet = build(m);
    const auto [refusal, error] = too_big(packet, 1300, kGateway6);
    REQUIRE(CHECK_EQ(refusal, IcmpRefusal::kNone));
    CHECK_EQ(error.size(), packet.size() + 48 < 1280 ? packet.size() + 48 : 1280);
    CHECK(checksum_right(error));
    CHECK_EQ(part(error, 8, 24), kGateway6);
    CHECK_EQ(part(error, 24, 40), m.src);
    CHECK_EQ(part(error, 40, 42), Bytes({2, 0}));
    CHECK_EQ(part(error, 44, 48), Bytes({0, 0, 1300 >> 8, 1300 & 255}));
    CHECK_EQ(part(error, 48, error.size()), part(packet, 0, error.size() - 48));
  }
}

TEST(mtu_is_kept_in_the_field) {
  CHECK_EQ(part(too_big(build(offender(4, 100)), 70000, kGateway4).bytes, 24, 28), Bytes({0, 0, 0xff, 0xff}));
  CHECK_EQ(part(too_big(build(offender(6, 100)), 576, kGateway6).bytes, 44, 48), Bytes({0, 0, 5, 0}));
}

TEST(no_error_about_these) {
  const auto refused = [](Model m, const Bytes& gateway) { return too_big(build(m), 1300, gateway).refusal; };
  Model m = offender(4, 100);
  CHECK_EQ(refused(m, {}), IcmpRefusal::kNoSource);
  CHECK_EQ(refused(m, kGateway6), IcmpRefusal::kNoSource);
  m.df = false;
  CHECK_EQ(refused(m, kGateway4), IcmpRefusal::kFragmentable);
  for (const uint8_t first : {224, 239, 240, 255}) {
    m = offender(4, 100);
    m.dst[0] = first;
    CHECK_EQ(refused(m, kGateway4), IcmpRefusal::kGroupDestination);
    m = offender(4, 100);
    m.src[0] = first;
    CHECK_EQ(refused(m, kGateway4), IcmpRefusal::kBadSource);
  }
  for (const uint8_t first : {0, 127}) {
    m = offender(4, 100);
    m.src[0] = first;
    CHECK_EQ(refused(m, kGateway4), IcmpRefusal::kBadSource);
  }
  for (const Bytes& source : {Bytes(16), concat(Bytes(15), {1}), concat({0xff, 2}, Bytes(14, 1))}) {
    m = offender(6, 100);
    m.src = source;
    CHECK_EQ(refused(m, kGateway6), IcmpRefusal::kBadSource);
  }
  m = offender(6, 100);
  m.dst[0] = 0xff;  // IPv6 multicast may be answered
  CHECK_EQ(refused(m, kGateway6), IcmpRefusal::kNone);
  CHECK_EQ(too_big(build(offender(4, 100)), 1300, kGateway4, 127).refusal, IcmpRefusal::kNoSpace);
}

TEST(fragments) {
  Bytes packet = build(offender(4, 100));
  packet[6] = 0x60;  // DF and MF: first fragment
  CHECK_EQ(too_big(packet, 1300, kGateway4).refusal, IcmpRefusal::kNone);
  packet[7] = 1;
  CHECK_EQ(too_big(packet, 1300, kGateway4).refusal, IcmpRefusal::kLaterFragment);
}

TEST(no_error_about_icmp_errors) {
  const auto refused = [](int version, uint8_t type) {
    Bytes packet = build(offender(version, 100));
    packet[version == 4 ? 9 : 6] = version == 4 ? 1 : 58;
    packet[version == 4 ? 20 : 40] = type;
    return too_big(packet, 1300, version == 4 ? kGateway4 : kGateway6).refusal;
  };
  for (const uint8_t type : {3, 4, 5, 11, 12}) CHECK_EQ(refused(4, type), IcmpRefusal::kIcmpError);
  for (const uint8_t type : {0, 8, 13, 14}) CHECK_EQ(refused(4, type), IcmpRefusal::kNone);
  for (const uint8_t type : {1, 2, 3, 4, 127, 137}) CHECK_EQ(refused(6, type), IcmpRefusal::kIcmpError);
  for (const uint8_t type : {128, 129, 135, 143}) CHECK_EQ(refused(6, type), IcmpRefusal::kNone);
}
