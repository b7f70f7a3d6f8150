// Nanoseconds per packet of the pure packet code. Build and run: native/bench/run.sh.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "pkt/checksum.h"
#include "pkt/coalesce.h"
#include "pkt/segment.h"
#include "pkt/timer_wheel.h"
#include "support/model.h"

using namespace ocvpn::pkt;
using namespace ocvpn::test;

namespace {

constexpr size_t kMss = 1380;
constexpr size_t kSegments = 46;  // about 64 KiB

double now_ns() {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                 std::chrono::steady_clock::now().time_since_epoch())
                                 .count());
}

/** Best of several rounds: other processes can only make it slower. `work` does `units` units. */
template <typename F>
void report(const char* name, size_t units, F&& work) {
  double best = 1e18;
  for (int round = 0; round < 200; ++round) {
    const double start = now_ns();
    work();
    best = std::min(best, (now_ns() - start) / static_cast<double>(units));
  }
  std::printf("%-48s %8.1f ns\n", name, best);
}

Model stream(int version, bool tcp, size_t payload) {
  Random random(1);
  Model m = random_model(random, version, tcp, payload, true);
  m.tcp_options = Bytes(12);
  m.flags = 0x10;
  return m;
}

uint64_t sink_bytes = 0;
const auto consume = [](ConstView frame) { sink_bytes += frame.size(); };

void bench_segment(const char* name, int version, bool tcp) {
  const Bytes original = model_super_frame(stream(version, tcp, kMss * kSegments), kMss);
  Bytes frame = original;
  report(name, kSegments, [&] {
    // Copying the frame back stands for the read from the tun, which also leaves it in the cache.
    std::copy(original.begin(), original.end(), frame.begin());
    Segmenter segmenter;
    MutView packet;
    if (segmenter.begin({frame.data(), frame.size()}, 1500) != SegmentResult::kOk) return;
    while (segmenter.next(&packet)) consume(packet);
  });
}

void bench_coalesce(const char* name, int version, bool tcp, size_t payload) {
  std::vector<Bytes> frames;
  for (const Model& m : model_segments(stream(version, tcp, kMss * kSegments), kMss)) {
    Model one = m;
    if (payload != kMss) one.payload.resize(payload);
    frames.push_back(concat(Bytes(kVnetHeaderSize), build(one)));
  }
  Coalescer coalescer(true, true);
  report(name, kSegments, [&] {
    for (Bytes& frame : frames) {
      IpPacket ip;
      if (parse_ip(ConstView(frame.data(), frame.size()).from(kVnetHeaderSize), &ip) != IpError::kNone) return;
      coalescer.push({frame.data(), frame.size()}, ip, consume);
    }
    coalescer.flush(consume);
  });
}

void bench_timers() {
  constexpr size_t kTimers = 10000;
  TimerWheel wheel(0);
  std::unique_ptr<Timer[]> timers(new Timer[kTimers]);
  Random random(1);
  for (size_t i = 0; i < kTimers; ++i) wheel.arm(timers[i], 1 + random.below(60000));
  report("timer: move one of 10,000", kTimers, [&] {
    for (size_t i = 0; i < kTimers; ++i) wheel.arm(timers[i], 1 + (i * 7919) % 60000);
  });
  for (size_t i = 0; i < kTimers; ++i) wheel.cancel(timers[i]);
}

}  // namespace

int main() {
  const Bytes data = Random(1).bytes(1400);
  uint64_t sum = 0;
  report("checksum of 1400 bytes", 1000, [&] {
    for (int i = 0; i < 1000; ++i) sum += sum_bytes({data.data(), data.size()}, sum);
  });
  bench_segment("segment: TCP/IPv4 1380 B (with copy of the read)", 4, true);
  bench_segment("segment: TCP/IPv6", 6, true);
  bench_segment("segment: UDP/IPv4", 4, false);
  bench_coalesce("coalesce: TCP/IPv4 1380 B", 4, true, kMss);
  bench_coalesce("coalesce: TCP/IPv6", 6, true, kMss);
  bench_coalesce("coalesce: UDP/IPv4", 4, false, kMss);
  bench_coalesce("coalesce: pure ACK, passed through", 4, true, 0);
  bench_timers();
  std::printf("(%llu)\n", static_cast<unsigned long long>(sink_bytes + sum));
  return 0;
}
