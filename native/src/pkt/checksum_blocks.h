// The loop of checksum.cc over most of a packet's bytes, in what ways the machine may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ocvpn::pkt {

/** Bytes that a SumBlocks takes at a time. */
constexpr size_t kSumBlock = 64;

/** Bytes that may be summed at once. */
constexpr size_t kMaxSum = 512 * 1024;

/** Sum of `bytes` bytes, whole blocks and at most kMaxSum, that sum_fold() makes the same number of, whichever it is. */
using SumBlocks = uint64_t (*)(const uint8_t* p, size_t bytes);

uint64_t sum_blocks_anywhere(const uint8_t* p, size_t bytes);

/** The fastest that this machine has. */
SumBlocks fastest_sum_blocks();

}  // namespace ocvpn::pkt
