// What the tests of the coalescer share.
#pragma once

#include "pkt/coalesce.h"
#include "support/kernel.h"

namespace ocvpn::test {

using namespace ocvpn::pkt;

/** Runs packets through a Coalescer and keeps what it wrote. */
struct Bench {
  Coalescer coalescer;
  std::vector<Bytes> frames;

  explicit Bench(bool tcp = true, bool udp = true) : coalescer(tcp, udp) {}

  Coalesce push(const Bytes& packet) {
    Bytes frame = concat(Bytes(kVnetHeaderSize, 0xa5), packet);
    frame.shrink_to_fit();
    IpPacket ip;
    CHECK_EQ(parse_ip({packet.data(), packet.size()}, &ip), IpError::kNone);
    return coalescer.push({frame.data(), frame.size()}, ip, sink());
  }
  Coalesce push(const Model& m) { return push(build(m)); }
  void flush() { coalescer.flush(sink()); }
  uint64_t flushed(FlushCause cause) const { return coalescer.counters().flushes[static_cast<size_t>(cause)]; }
  /** All packets that the frames stand for, in order. */
  std::vector<Bytes> packets() const {
    std::vector<Bytes> out;
    for (const Bytes& frame : frames) {
      const Expanded expanded = expand(frame);
      CHECK(expanded.valid);
      out.insert(out.end(), expanded.packets.begin(), expanded.packets.end());
    }
    return out;
  }

 private:
  struct Sink {
    std::vector<Bytes>* frames;
    void operator()(ConstView frame) { frames->emplace_back(frame.data(), frame.data() + frame.size()); }
  };
  Sink sink_{&frames};
  FrameSink sink() { return FrameSink(sink_); }
};

/** The first packet of a flow. */
inline Model head(bool tcp = true, int version = 4, size_t payload = 1000) {
  Random random(seed());
  Model m = random_model(random, version, tcp, payload, true);
  m.tcp_options = random.bytes(12);
  m.flags = 0x10;
  return m;
}

}  // namespace ocvpn::test
