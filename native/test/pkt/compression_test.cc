#include "pkt/compression.h"

#include <string>

#include "support/model.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

constexpr Compression kMethods[] = {Compression::kLz4, Compression::kLzs};

ConstView view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

Bytes text(const std::string& words) { return {words.begin(), words.end()}; }

/** Empty: it did not fit. */
Bytes packed(Compression method, const Bytes& plain, size_t room) {
  Bytes out(room);
  out.resize(compress(method, view(plain), {out.data(), out.size()}));
  return out;
}

/** Empty: refused. */
Bytes unpacked(Compression method, const Bytes& data, size_t room = kMaxPlainPacket) {
  Bytes out(room);
  size_t length = 0;
  if (!decompress(method, view(data), {out.data(), out.size()}, &length)) return {};
  out.resize(length);
  return out;
}

/** Of few different bytes, so that matches of all lengths and offsets come up. */
Bytes random_text(Random& random, size_t size) {
  const uint64_t letters = random.between(1, 6);
  Bytes out;
  while (out.size() < size) {
    if (!out.empty() && random.one_in(4)) {
      const size_t from = random.below(out.size());
      const size_t length = std::min<size_t>(random.between(1, 400), size - out.size());
      for (size_t i = 0; i < length; ++i) out.push_back(out[from + i]);
    } else {
      out.push_back(static_cast<uint8_t>('a' + random.below(letters)));
    }
  }
  return out;
}

}  // namespace

// The block inside what the lz4 program writes for this text.
const std::string kLine = "the quick brown fox, the quick brown fox, the quick brown fox jumps";
const Bytes kLineLz4 = {
    0xff, 0x06, 0x74, 0x68, 0x65, 0x20, 0x71, 0x75, 0x69, 0x63, 0x6b, 0x20, 0x62, 0x72, 0x6f, 0x77,
    0x6e, 0x20, 0x66, 0x6f, 0x78, 0x2c, 0x20, 0x15, 0x00, 0x15, 0x60, 0x20, 0x6a, 0x75, 0x6d, 0x70, 0x73
};

TEST(lz4_reads_what_the_reference_program_wrote) { CHECK_EQ(unpacked(Compression::kLz4, kLineLz4), text(kLine)); }

// RFC 1974 4.2: literals A and B, a match of 6 bytes 2 back, the end marker, padding.
//   0 01000001 | 0 01000010 | 1 1 0000010 1101 | 1 1 0000000
TEST(lzs_bits_of_the_standard) {
  const Bytes stream = {0x20, 0x90, 0xb0, 0x5b, 0x80};
  CHECK_EQ(unpacked(Compression::kLzs, stream), text("ABABABAB"));
  CHECK_EQ(packed(Compression::kLzs, text("ABABABAB"), 100), stream);
}

// The long codes: 11 bits of offset; a length of 23 is two nibbles and a rest of 0.
TEST(lzs_long_offset_and_length) {
  Bytes plain;
  Random random(1);
  for (int i = 0; i < 200; ++i) plain.push_back(static_cast<uint8_t>(i));
  for (int i = 0; i < 23; ++i) plain.push_back(static_cast<uint8_t>(i));
  const Bytes stream = packed(Compression::kLzs, plain, 1000);
  // 200 literals, 13 bits of match, 12 of length, 9 of end.
  CHECK_EQ(stream.size(), size_t{(200 * 9 + 13 + 12 + 9 + 7) / 8});
  CHECK_EQ(unpacked(Compression::kLzs, stream), plain);
}

TEST(what_was_compressed_comes_back) {
  Random random(seed());
  for (Compression method : kMethods) {
    for (int round = 0; round < 400; ++round) {
      const size_t size = random.one_in(8) ? random.between(1, kMaxPlainPacket) : random.between(1, 1500);
      const Bytes plain = random_text(random, size);
      const Bytes data = packed(method, plain, 2 * size + 64);
      REQUIRE(!data.empty());
      REQUIRE(unpacked(method, data) == plain);
    }
  }
}

TEST(repetition_shrinks_a_packet) {
  for (Compression method : kMethods) CHECK(packed(method, Bytes(1400, 'x'), 1399).size() < 120);
}

TEST(random_bytes_do_not_shrink) {
  Random random(seed());
  for (Compression method : kMethods) CHECK(packed(method, random.bytes(1400), 1399).empty());
}

TEST(nothing_is_written_beyond_the_room) {
  Random random(seed());
  for (Compression method : kMethods) {
    const Bytes plain = random_text(random, 600);
    const Bytes data = packed(method, plain, 2000);
    CHECK_EQ(packed(method, plain, data.size()), data);
    CHECK(packed(method, plain, data.size() - 1).empty());
    CHECK_EQ(unpacked(method, data, plain.size()), plain);
    CHECK(unpacked(method, data, plain.size() - 1).empty());
  }
}

TEST(a_packet_may_not_expand_beyond_the_bound) {
  for (Compression method : kMethods) {
    const Bytes data = packed(method, Bytes(kMaxPlainPacket, 'x'), kMaxPlainPacket);
    CHECK_EQ(unpacked(method, data, 2 * kMaxPlainPacket).size(), kMaxPlainPacket);
    CHECK(packed(method, Bytes(kMaxPlainPacket + 1, 'x'), kMaxPlainPacket).empty());
  }
  // 64 KiB out of 260 bytes: a token with full nibbles and their continuation.
  Bytes bomb = {0x1f, 'x', 1, 0};
  bomb.insert(bomb.end(), 256, 255);
  bomb.push_back(0);
  CHECK(unpacked(Compression::kLz4, concat(bomb, {0x50, 'x', 'x', 'x', 'x', 'x'}), 2 * kMaxPlainPacket).empty());
}

TEST(every_cut_is_refused) {
  Random random(seed());
  for (Compression method : kMethods) {
    const Bytes plain = random_text(random, 300);
    const Bytes data = packed(method, plain, 1000);
    for (size_t cut = 0; cut < data.size(); ++cut) {
      // A cut LZ4 block may end behind a shorter sequence, but never gives the whole packet.
      CHECK(unpacked(method, Bytes(data.begin(), data.begin() + static_cast<long>(cut))) != plain);
    }
  }
}

TEST(offsets_in_front_of_the_packet_are_refused) {
  CHECK(unpacked(Compression::kLz4, {0x10, 'x', 2, 0, 0x00}).empty());
  CHECK(unpacked(Compression::kLz4, {0x10, 'x', 0, 0, 0x00}).empty());
  // 0 01111000 | 1 1 0000010 00 | 1 1 0000000
  CHECK(unpacked(Compression::kLzs, {0x3c, 0x60, 0x8c, 0x00}).empty());
  CHECK(unpacked(Compression::kNone, {0x10, 'x'}).empty());
}
