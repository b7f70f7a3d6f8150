// One raw LZ4 block: sequences of token, literals, 16-bit little-endian offset, match. See compression.h.
#pragma once

#include <cstddef>

#include "pkt/view.h"

namespace ocvpn::pkt {

size_t lz4_compress(ConstView packet, MutView out);
bool lz4_decompress(ConstView data, MutView out, size_t* length);

}  // namespace ocvpn::pkt
