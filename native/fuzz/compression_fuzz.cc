// Any bytes as compressed packets: nothing is written outside the room, and what was compressed comes back.
#include "pkt/compression.h"
#include "support/fuzz.h"

#include <vector>

using namespace ocvpn::pkt;
using ocvpn::test::fuzz_require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Compression method = (data[0] & 1) != 0 ? Compression::kLz4 : Compression::kLzs;
  // The room is now short, now ample; its end is the end of an allocation, so that one byte too many is seen.
  const size_t room = (data[0] & 2) != 0 ? kMaxPlainPacket : size;
  const ConstView input(data + 1, size - 1);
  std::vector<uint8_t> plain(room);
  size_t length = 0;
  if (decompress(method, input, {plain.data(), plain.size()}, &length)) fuzz_require(length > 0 && length <= room);

  std::vector<uint8_t> packed(room);
  const size_t packed_size = compress(method, input, {packed.data(), packed.size()});
  fuzz_require(packed_size <= room);
  if (packed_size == 0) return 0;
  std::vector<uint8_t> back(input.size());
  fuzz_require(decompress(method, {packed.data(), packed_size}, {back.data(), back.size()}, &length));
  fuzz_require(input.equals({back.data(), length}));
  return 0;
}
