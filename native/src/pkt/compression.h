// Compression of single packets (protocol.md 10): every packet stands for itself, nothing is kept between two.
//
// `oc-lz4` is one raw LZ4 block (github.com/lz4/lz4 doc/lz4_Block_format.md), `lzs` the bit stream of RFC 1974
// (ANSI X3.241) with the history cleared for each packet. Both run on the caller's memory: nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pkt/view.h"

namespace ocvpn::pkt {

enum class Compression : uint8_t { kNone, kLz4, kLzs };

/** Largest packet that is compressed, and the bound of what one may expand to, bytes. */
constexpr size_t kMaxPlainPacket = 16384;

/**
 * Compresses a packet of at most kMaxPlainPacket bytes. Returns the bytes written; 0 when the result does not fit
 * `out`, so a caller that gives one byte less than the packet has asks for nothing but a gain.
 */
size_t compress(Compression method, ConstView packet, MutView out);

/** Restores a packet. false when `data` is broken or its packet does not fit `out`; `out` then holds anything. */
bool decompress(Compression method, ConstView data, MutView out, size_t* length);

}  // namespace ocvpn::pkt
