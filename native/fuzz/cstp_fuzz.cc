// Any bytes from a client as CSTP, as a DTLS payload and as a DTLS record.
#include "pkt/cstp.h"
#include "support/fuzz.h"

using namespace ocvpn::pkt;
using ocvpn::test::fuzz_require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLimit = 16384;
  ConstView rest(data, size);
  CstpPacket packet;
  while (parse_cstp(rest, kLimit, &packet) == CstpError::kNone) {
    fuzz_require(packet.payload.size() <= kLimit && packet.size == kCstpHeaderSize + packet.payload.size());
    fuzz_require(packet.payload.data() + packet.payload.size() <= data + size);
    uint8_t header[kCstpHeaderSize];
    write_cstp_header({header, sizeof header}, packet.type, packet.payload.size());
    fuzz_require(rest.sub(0, kCstpHeaderSize).equals({header, sizeof header}));
    rest = rest.from(packet.size);
  }
  if (parse_dtls_payload({data, size}, &packet) == CstpError::kNone) fuzz_require(packet.payload.size() + 1 == size);
  DtlsRecordHeader record;
  if (peek_dtls_record({data, size}, &record)) fuzz_require(kDtlsRecordHeaderSize + record.length <= size);
  if (is_dtls_client_hello({data, size})) fuzz_require(record.epoch == 0);
  return 0;
}
