// For fuzz targets: properties that end the process, and reading values from the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace ocvpn::test {

inline void fuzz_require(bool property) {
  if (!property) std::abort();
}

/** Bytes of the input one after the other; zeros after its end. */
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t u8() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace ocvpn::test
