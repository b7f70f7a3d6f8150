#include "pkt/lzs.h"

#include <cstdint>
#include <cstring>

namespace ocvpn::pkt {

namespace {

constexpr size_t kMinMatch = 2;
constexpr size_t kShortOffsets = 128;   // 7 bits, 0 is the end marker
constexpr size_t kWindow = 2048;        // 11 bits
constexpr size_t kHashBits = 10;
// Length codes: 2 bits for 2 to 4, 4 bits for 5 to 7, then nibbles of which all but the last are full.
constexpr size_t kLongLength = 8;
constexpr uint32_t kNibble = 15;

size_t hash(const uint8_t* p) {
  uint32_t bytes = static_cast<uint32_t>(p[0]) << 8 | p[1];
  return (bytes * 2654435761u) >> (32 - kHashBits);
}

// Most significant bit first.
class BitWriter {
 public:
  explicit BitWriter(MutView out) : out_(out) {}

  void put(uint32_t value, unsigned bits) {
    pending_ = pending_ << bits | value;
    count_ += bits;
    for (; count_ >= 8; count_ -= 8) byte(static_cast<uint8_t>(pending_ >> (count_ - 8)));
  }

  void match(size_t offset, size_t length) {
    if (offset < kShortOffsets) {
      put(3u << 7 | static_cast<uint32_t>(offset), 9);
    } else {
      put(2u << 11 | static_cast<uint32_t>(offset), 13);
    }
    if (length < 5) return put(static_cast<uint32_t>(length - 2), 2);
    if (length < kLongLength) return put(0xc | static_cast<uint32_t>(length - 5), 4);
    put(kNibble, 4);
    size_t rest = length - kLongLength;
    for (; rest >= kNibble; rest -= kNibble) put(kNibble, 4);
    put(static_cast<uint32_t>(rest), 4);
  }

  // The end marker, and zero bits up to a whole byte. 0: it did not fit.
  size_t finish() {
    put(0x180, 9);
    if (count_ > 0) put(0, 8 - count_);
    return failed_ ? 0 : size_;
  }

  bool failed() const { return failed_; }

 private:
  void byte(uint8_t value) {
    failed_ = failed_ || size_ == out_.size();
    if (!failed_) out_.put_u8(size_++, value);
  }

  MutView out_;
  size_t size_ = 0;
  uint32_t pending_ = 0;  // the lowest count_ bits wait; at most 7 + 13
  unsigned count_ = 0;
  bool failed_ = false;
};

class BitReader {
 public:
  explicit BitReader(ConstView data) : data_(data) {}

  // At most 11 bits. false: the data ends before them.
  bool take(unsigned bits, uint32_t* value) {
    while (count_ < bits) {
      if (at_ == data_.size()) return false;
      pending_ = pending_ << 8 | data_.u8(at_++);
      count_ += 8;
    }
    count_ -= bits;
    *value = pending_ >> count_ & ((1u << bits) - 1);
    return true;
  }

  bool take_length(size_t* length) {
    uint32_t code = 0;
    if (!take(2, &code)) return false;
    *length = 2 + code;
    if (code < 3) return true;
    if (!take(2, &code)) return false;
    *length = 5 + code;
    if (code < 3) return true;
    *length = kLongLength;
    do {
      if (!take(4, &code)) return false;
      *length += code;
    } while (code == kNibble);
    return true;
  }

 private:
  ConstView data_;
  size_t at_ = 0;
  uint32_t pending_ = 0;
  unsigned count_ = 0;
};

}  // namespace

size_t lzs_compress(ConstView packet, MutView out) {
  BitWriter writer(out);
  const uint8_t* base = packet.data();
  const size_t size = packet.size();
  uint16_t last_seen[1 << kHashBits] = {};  // 0 also means unseen; the bytes are compared anyway
  size_t at = 0;
  while (at < size && !writer.failed()) {
    size_t matched = 0;
    size_t candidate = 0;
    if (at + kMinMatch <= size) {
      uint16_t& slot = last_seen[hash(base + at)];
      candidate = slot;
      slot = static_cast<uint16_t>(at);
      if (candidate < at && at - candidate < kWindow) {
        while (at + matched < size && base[at + matched] == base[candidate + matched]) ++matched;
      }
    }
    if (matched >= kMinMatch) {
      writer.match(at - candidate, matched);
      at += matched;
    } else {
      writer.put(base[at++], 9);  // a 0 bit, then the byte
    }
  }
  return writer.finish();
}

bool lzs_decompress(ConstView data, MutView out, size_t* length) {
  BitReader reader(data);
  size_t made = 0;
  uint32_t bits = 0;
  while (reader.take(1, &bits)) {
    if (bits == 0) {
      if (!reader.take(8, &bits) || made == out.size()) return false;
      out.put_u8(made++, static_cast<uint8_t>(bits));
      continue;
    }
    if (!reader.take(1, &bits)) return false;
    bool is_short = bits == 1;
    if (!reader.take(is_short ? 7 : 11, &bits)) return false;
    if (is_short && bits == 0) {
      *length = made;
      return made > 0;
    }
    size_t offset = bits;
    size_t match = 0;
    if (offset == 0 || offset > made || !reader.take_length(&match) || !out.contains(made, match)) return false;
    uint8_t* to = out.data() + made;
    const uint8_t* from = to - offset;
    for (size_t i = 0; i < match; ++i) to[i] = from[i];  // the two may overlap
    made += match;
  }
  return false;  // the end marker is missing
}

}  // namespace ocvpn::pkt
