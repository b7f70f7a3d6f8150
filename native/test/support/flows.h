// Packets sorted into flows, to compare what went into a coalescer with what came out.
#pragma once

#include <map>
#include <vector>

#include "support/model.h"

namespace ocvpn::test {

/** Version-independent key (addresses, protocol, ports) to packets, made comparable: see by_flow(). */
using Flows = std::map<Bytes, std::vector<Bytes>>;

/**
 * Per flow the packets in order, and among them every fragment between the same hosts. The id of IPv4 packets with DF
 * is left out, as it means nothing (RFC 6864), and with it the header checksum, except whether it is right.
 */
Flows by_flow(const std::vector<Bytes>& packets);

}  // namespace ocvpn::test
