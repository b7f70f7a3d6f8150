#include "pkt/lz4.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace ocvpn::pkt {

namespace {

// The block format's rules: a match has at least 4 bytes, the last one begins 12 bytes before the end or earlier, and
// the last 5 bytes are literals.
constexpr size_t kMinMatch = 4;
constexpr size_t kMatchMargin = 12;
constexpr size_t kLastLiterals = 5;
// A nibble of the token that is full is continued in bytes.
constexpr size_t kNibble = 15;
constexpr size_t kHashBits = 11;
// Every 64 positions without a match the search makes longer steps: what does not compress costs little.
constexpr size_t kSkipShift = 6;

uint32_t load32(const uint8_t* p) {
  uint32_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

// Knuth's multiplicative hash.
size_t hash(uint32_t bytes) { return (bytes * 2654435761u) >> (32 - kHashBits); }

class Writer {
 public:
  explicit Writer(MutView out) : out_(out) {}

  bool failed() const { return failed_; }
  size_t size() const { return size_; }

  // `match` 0: the last sequence, literals only.
  void sequence(ConstView literals, size_t offset, size_t match) {
    size_t match_code = match == 0 ? 0 : match - kMinMatch;
    byte(std::min(literals.size(), kNibble) << 4 | std::min(match_code, kNibble));
    rest_of_length(literals.size());
    bytes(literals);
    if (match == 0) return;
    byte(offset & 0xff);
    byte(offset >> 8);
    rest_of_length(match_code);
  }

 private:
  void byte(size_t value) {
    failed_ = failed_ || size_ == out_.size();
    if (!failed_) out_.put_u8(size_++, static_cast<uint8_t>(value));
  }

  void bytes(ConstView source) {
    failed_ = failed_ || !out_.contains(size_, source.size());
    if (failed_) return;
    out_.put(size_, source);
    size_ += source.size();
  }

  void rest_of_length(size_t length) {
    if (length < kNibble) return;
    size_t rest = length - kNibble;
    for (; rest >= 255; rest -= 255) byte(255);
    byte(rest);
  }

  MutView out_;
  size_t size_ = 0;
  bool failed_ = false;
};

// Reads the bytes that continue a full nibble. false: the input ends in them.
bool read_length(ConstView data, size_t* at, size_t* length) {
  if (*length < kNibble) return true;
  uint8_t more = 255;
  while (more == 255) {
    if (*at >= data.size()) return false;
    more = data.u8((*at)++);
    *length += more;
  }
  return true;
}

}  // namespace

size_t lz4_compress(ConstView packet, MutView out) {
  Writer writer(out);
  const uint8_t* base = packet.data();
  size_t literals_from = 0;
  if (packet.size() > kMatchMargin) {
    uint16_t last_seen[1 << kHashBits] = {};  // 0 also means unseen; the bytes are compared anyway
    const size_t search_end = packet.size() - kMatchMargin;
    const size_t match_end = packet.size() - kLastLiterals;
    size_t at = 1;
    size_t misses = 0;
    while (at <= search_end && !writer.failed()) {
      uint32_t bytes = load32(base + at);
      uint16_t& slot = last_seen[hash(bytes)];
      size_t candidate = slot;
      slot = static_cast<uint16_t>(at);
      if (load32(base + candidate) != bytes) {
        at += 1 + (misses++ >> kSkipShift);
        continue;
      }
      size_t end = at + kMinMatch;
      while (end < match_end && base[end] == base[candidate + (end - at)]) ++end;
      writer.sequence(packet.sub(literals_from, at - literals_from), at - candidate, end - at);
      literals_from = at = end;
      misses = 0;
    }
  }
  writer.sequence(packet.from(literals_from), 0, 0);
  return writer.failed() ? 0 : writer.size();
}

bool lz4_decompress(ConstView data, MutView out, size_t* length) {
  size_t at = 0;
  size_t made = 0;
  while (at < data.size()) {
    uint8_t token = data.u8(at++);
    size_t literals = token >> 4;
    if (!read_length(data, &at, &literals)) return false;
    if (!data.contains(at, literals) || !out.contains(made, literals)) return false;
    out.put(made, data.sub(at, literals));
    at += literals;
    made += literals;
    if (at == data.size()) {
      *length = made;
      return made > 0;
    }
    if (!data.contains(at, 2)) return false;
    size_t offset = data.u8(at) | static_cast<size_t>(data.u8(at + 1)) << 8;
    at += 2;
    size_t match = token & kNibble;
    if (!read_length(data, &at, &match)) return false;
    match += kMinMatch;
    if (offset == 0 || offset > made || !out.contains(made, match)) return false;
    uint8_t* to = out.data() + made;
    const uint8_t* from = to - offset;
    for (size_t i = 0; i < match; ++i) to[i] = from[i];  // the two may overlap
    made += match;
  }
  return false;  // the last sequence has literals only
}

}  // namespace ocvpn::pkt
