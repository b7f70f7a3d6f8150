// Any bytes as an inner packet: parsing, checksums, filter and ICMP errors stay inside them.
#include "pkt/checksum.h"
#include "pkt/flow_filter.h"
#include "pkt/icmp_error.h"
#include "support/fuzz.h"

using namespace ocvpn::pkt;
using ocvpn::test::fuzz_require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  const MutView packet(bytes.data(), bytes.size());
  IpPacket ip;
  if (parse_ip(packet, &ip) != IpError::kNone) return 0;
  fuzz_require(ip.total_length <= size && ip.l4_offset <= ip.total_length);
  fuzz_require(!ip.first_fragment || ip.fragment);

  SourceFilter filter;
  if (ip.version == 4) {
    filter.set_ipv4(ip.src(packet));
  } else {
    filter.set_ipv6(ip.src(packet), 64);
  }
  fuzz_require(filter.allows(packet, ip));

  const uint8_t gateway[16] = {0x20, 1};
  uint8_t out[kIcmpV6ErrorMax];
  const IcmpError error = build_packet_too_big(packet, ip, 1300, {gateway, ip.address_length}, {out, sizeof out});
  fuzz_require((error.refusal == IcmpRefusal::kNone) == (error.length != 0));
  if (error.length != 0) {
    IpPacket built;
    fuzz_require(parse_ip({out, error.length}, &built) == IpError::kNone);
    fuzz_require(verify_l4_checksum({out, error.length}, built));
  }

  if (write_l4_checksum(packet, ip)) fuzz_require(verify_l4_checksum(packet, ip));
  return 0;
}
