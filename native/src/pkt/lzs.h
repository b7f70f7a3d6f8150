// The bit stream of RFC 1974 4.2: literals of 9 bits, matches in a window of 2 KiB, an end marker. See compression.h.
#pragma once

#include <cstddef>

#include "pkt/view.h"

namespace ocvpn::pkt {

size_t lzs_compress(ConstView packet, MutView out);
bool lzs_decompress(ConstView data, MutView out, size_t* length);

}  // namespace ocvpn::pkt
