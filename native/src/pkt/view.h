// The only way in which packet code reads and writes bytes: a pointer with a length and one bounds check.
//
// Lengths from the network are validated by the parsers (ip_packet.h, cstp.h) and answered with an error. An access
// outside a view after that is a mistake in our own code; it traps, as an index out of range does in Rust, because
// one ended worker is better than a corrupted one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ocvpn::pkt {

namespace detail {

inline void require(bool in_bounds) {
  if (__builtin_expect(!in_bounds, 0)) __builtin_trap();
}

inline uint16_t load_be16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] << 8 | p[1]);
}

inline uint32_t load_be32(const uint8_t* p) {
  return static_cast<uint32_t>(load_be16(p)) << 16 | load_be16(p + 2);
}

}  // namespace detail

/** Read-only bytes that somebody else owns. */
class ConstView {
 public:
  constexpr ConstView() = default;
  constexpr ConstView(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /** Whether `length` bytes at `offset` are inside; never overflows. */
  bool contains(size_t offset, size_t length) const { return offset <= size_ && length <= size_ - offset; }

  uint8_t u8(size_t offset) const { return *at(offset, 1); }
  /** Big-endian 16 bits. */
  uint16_t be16(size_t offset) const { return detail::load_be16(at(offset, 2)); }
  /** Big-endian 32 bits. */
  uint32_t be32(size_t offset) const { return detail::load_be32(at(offset, 4)); }

  /** Part of the view; traps when it is not inside. */
  ConstView sub(size_t offset, size_t length) const { return {at(offset, length), length}; }
  /** Everything from `offset`; traps when `offset` is beyond the end. */
  ConstView from(size_t offset) const {
    detail::require(offset <= size_);
    return {data_ + offset, size_ - offset};
  }

  bool equals(ConstView other) const {
    return size_ == other.size_ && (size_ == 0 || std::memcmp(data_, other.data_, size_) == 0);
  }

  /** Pointer to `length` checked bytes at `offset`. */
  const uint8_t* at(size_t offset, size_t length) const {
    detail::require(contains(offset, length));
    return data_ + offset;
  }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/** Writable bytes that somebody else owns. */
class MutView {
 public:
  constexpr MutView() = default;
  constexpr MutView(uint8_t* data, size_t size) : data_(data), size_(size) {}

  operator ConstView() const { return {data_, size_}; }

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool contains(size_t offset, size_t length) const { return offset <= size_ && length <= size_ - offset; }

  uint8_t u8(size_t offset) const { return *at(offset, 1); }
  uint16_t be16(size_t offset) const { return detail::load_be16(at(offset, 2)); }
  uint32_t be32(size_t offset) const { return detail::load_be32(at(offset, 4)); }

  void put_u8(size_t offset, uint8_t value) const { *at(offset, 1) = value; }
  void put_be16(size_t offset, uint16_t value) const {
    uint8_t* p = at(offset, 2);
    p[0] = static_cast<uint8_t>(value >> 8);
    p[1] = static_cast<uint8_t>(value);
  }
  void put_be32(size_t offset, uint32_t value) const {
    put_be16(offset, static_cast<uint16_t>(value >> 16));
    put_be16(offset + 2, static_cast<uint16_t>(value));
  }
  /** Copies `source` to `offset`; the two must not overlap. */
  void put(size_t offset, ConstView source) const {
    uint8_t* p = at(offset, source.size());
    if (!source.empty()) std::memcpy(p, source.data(), source.size());
  }

  MutView sub(size_t offset, size_t length) const { return {at(offset, length), length}; }
  MutView from(size_t offset) const {
    detail::require(offset <= size_);
    return {data_ + offset, size_ - offset};
  }

  uint8_t* at(size_t offset, size_t length) const {
    detail::require(contains(offset, length));
    return data_ + offset;
  }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ocvpn::pkt
