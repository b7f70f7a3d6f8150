#include "pkt/cstp.h"

#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

ConstView view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

CstpError parse(const Bytes& bytes, size_t max_payload = kCstpMaxPayload) {
  CstpPacket packet;
  return parse_cstp(view(bytes), max_payload, &packet);
}

const Bytes kDpd = {'S', 'T', 'F', 1, 0, 2, 3, 0, 0xaa, 0xbb};
/** First 14 bytes of a ClientHello of DTLS 1.2 with a fragment of one byte. */
const Bytes kHello = {22, 0xfe, 0xfd, 0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 1};

Bytes with(Bytes bytes, size_t at, uint8_t value) {
  bytes.at(at) = value;
  return bytes;
}

}  // namespace

TEST(header_bytes) {
  Bytes out(8, 0xff);
  write_cstp_header({out.data(), out.size()}, PacketType::kDpdResp, 0x1234);
  CHECK_EQ(out, Bytes({'S', 'T', 'F', 1, 0x12, 0x34, 4, 0}));
}

TEST(parses_the_first_of_several) {
  CstpPacket packet;
  const Bytes two = concat(kDpd, kDpd);
  REQUIRE(parse_cstp(view(two), 2, &packet) == CstpError::kNone);
  CHECK(packet.type == PacketType::kDpdOut);
  CHECK_EQ(packet.size, 10u);
  CHECK(packet.payload.data() == two.data() + 8 && packet.payload.size() == 2);
}

TEST(every_prefix_is_incomplete) {
  for (size_t length = 0; length < kDpd.size(); ++length) {
    CHECK_EQ(parse(Bytes(kDpd.begin(), kDpd.begin() + static_cast<long>(length))), CstpError::kIncomplete);
  }
}

TEST(bad_frames) {
  for (const size_t at : {0, 1, 2, 3, 7}) CHECK_EQ(parse(with(kDpd, at, 0x55)), CstpError::kBadMagic);
  CHECK_EQ(parse({'S', 'X'}), CstpError::kBadMagic);
  CHECK_EQ(parse({'G', 'E', 'T', ' ', '/'}), CstpError::kBadMagic);
  CHECK_EQ(parse(kDpd, 1), CstpError::kTooLong);
  // Too long is told from the header alone.
  CHECK_EQ(parse({'S', 'T', 'F', 1, 0xff, 0xff, 0, 0}, 16384), CstpError::kTooLong);
}

TEST(types) {
  for (int type = 0; type < 256; ++type) {
    const bool known = type == 0 || type == 3 || type == 4 || type == 5 || type == 7 || type == 8 || type == 9;
    const auto byte = static_cast<uint8_t>(type);
    CHECK_EQ(parse(with(kDpd, 6, byte)), known ? CstpError::kNone : CstpError::kUnknownType);
    CHECK_EQ(is_packet_type(byte), known);
    CstpPacket packet;
    const Bytes record = {byte, 1, 2};
    CHECK_EQ(parse_dtls_payload(view(record), &packet), known ? CstpError::kNone : CstpError::kUnknownType);
    if (known) CHECK(packet.payload.size() == 2 && packet.size == 3 && static_cast<int>(packet.type) == type);
  }
  CstpPacket packet;
  CHECK_EQ(parse_dtls_payload({}, &packet), CstpError::kIncomplete);
}

TEST(round_trip) {
  Random random(seed());
  for (int round = 0; round < 500; ++round) {
    const Bytes payload = random.bytes(random.below(2000));
    const PacketType type = random.one_in(2) ? PacketType::kData : PacketType::kCompressed;
    Bytes bytes(8);
    write_cstp_header({bytes.data(), bytes.size()}, type, payload.size());
    bytes = concat(bytes, payload);
    CstpPacket packet;
    REQUIRE(parse_cstp(view(bytes), payload.size(), &packet) == CstpError::kNone);
    CHECK(packet.type == type && packet.payload.equals(view(payload)) && packet.size == bytes.size());
  }
}

TEST(dtls_record_header) {
  DtlsRecordHeader header;
  const Bytes record = {23, 0xfe, 0xfd, 0x01, 0x02, 1, 2, 3, 4, 5, 6, 0, 2, 9, 9, 22};
  REQUIRE(peek_dtls_record(view(record), &header));
  CHECK_EQ(int{header.content_type}, 23);
  CHECK_EQ(int{header.version}, 0xfefd);
  CHECK_EQ(int{header.epoch}, 0x0102);
  CHECK_EQ(header.sequence, 0x010203040506u);
  CHECK_EQ(int{header.length}, 2);
}

TEST(not_dtls_records) {
  DtlsRecordHeader header;
  const auto peek = [&](const Bytes& bytes) { return peek_dtls_record(view(bytes), &header); };
  CHECK(peek(kHello));
  CHECK(peek(with(kHello, 2, 0xff)));                         // DTLS 1.0
  CHECK(peek(with(with(kHello, 1, 1), 2, 0)));                // the old AnyConnect version
  CHECK(!peek(Bytes(kHello.begin(), kHello.begin() + 12)));
  CHECK(!peek(Bytes(kHello.begin(), kHello.end() - 1)));      // fragment is cut
  CHECK(!peek(with(kHello, 0, 19)) && !peek(with(kHello, 0, 24)));
  CHECK(!peek(with(kHello, 1, 3)));                           // TLS
}

TEST(client_hello) {
  CHECK(is_dtls_client_hello(view(kHello)));
  CHECK(!is_dtls_client_hello(view(with(kHello, 0, 23))));
  CHECK(!is_dtls_client_hello(view(with(kHello, 4, 1))));     // epoch 1: encrypted
  CHECK(!is_dtls_client_hello(view(with(kHello, 13, 2))));    // ServerHello
  CHECK(!is_dtls_client_hello(view(with(kHello, 12, 0))));    // empty fragment
  CHECK(!is_dtls_client_hello({}));
}
