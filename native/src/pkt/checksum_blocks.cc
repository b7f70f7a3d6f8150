#include "pkt/checksum_blocks.h"

#include <cstring>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace ocvpn::pkt {

namespace {

/** Vector type of GCC and Clang; plain arithmetic where the machine has no such registers. */
typedef uint64_t Lanes __attribute__((vector_size(16)));

Lanes load_lanes(const uint8_t* p) {
  Lanes value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

#ifdef __x86_64__

/**
 * AVX2 adds pairs of signed words in one instruction, a third of what the lanes below need: words are taken less 0x8000.
 * A lane grows by 2^16 for each block, so that kMaxSum keeps two of them inside 31 bits.
 */
__attribute__((target("avx2"))) uint64_t sum_blocks_avx2(const uint8_t* p, size_t bytes) {
  const __m256i bias = _mm256_set1_epi16(INT16_MIN);
  const __m256i one = _mm256_set1_epi16(1);
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
  for (const uint8_t* end = p + bytes; p != end; p += kSumBlock) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_xor_si256(a, bias), one));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_xor_si256(b, bias), one));
  }
  int32_t lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi32(low, high));
  auto sum = static_cast<int64_t>(bytes / 2 * 0x8000);
  for (const int32_t lane : lanes) sum += lane;
  return static_cast<uint64_t>(sum);
}

#endif

}  // namespace

uint64_t sum_blocks_anywhere(const uint8_t* p, size_t bytes) {
  // 32-bit words in 64-bit lanes: no carry can get lost in any packet, and the lanes (SSE2, NEON) need no carry chain,
  // which is what bounds a loop of add-with-carry (measured: half the speed).
  constexpr Lanes kLow = {0xffffffff, 0xffffffff};
  Lanes low = {}, high = {}, low2 = {}, high2 = {};
  for (const uint8_t* end = p + bytes; p != end; p += kSumBlock / 2) {
    const Lanes a = load_lanes(p);
    const Lanes b = load_lanes(p + 16);
    low += a & kLow;
    high += a >> 32;
    low2 += b & kLow;
    high2 += b >> 32;
  }
  low += low2;
  high += high2;
  return low[0] + low[1] + high[0] + high[1];
}

SumBlocks fastest_sum_blocks() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return sum_blocks_avx2;
#endif
  return sum_blocks_anywhere;
}

}  // namespace ocvpn::pkt
