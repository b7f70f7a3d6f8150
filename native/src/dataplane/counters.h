// Counters of one tunnel in memory that is shared with the process (or thread) that reports them.
//
// One writer (the packet loop), any number of readers. Each field is a relaxed atomic: a reader may see two
// fields from slightly different moments, never half a value. The memory is MAP_SHARED so that a loop in a
// forked child still counts where the parent reads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ocvpn::dataplane {

// Names as in TunnelCounters of src/core/native/types.ts, same order.
#define OCVPN_TUNNEL_COUNTERS(X)                                                                             \
  X(rxBytes) X(rxPackets) X(txBytes) X(txPackets)                                                            \
  X(rxTlsPackets) X(rxDtlsPackets) X(txTlsPackets) X(txDtlsPackets)                                          \
  X(dropsTooBig) X(dropsMalformed) X(dropsSource) X(dropsRateLimit) X(dropsStreamFull) X(dropsTunFull)       \
  X(dropsReplay)                                                                                             \
  X(tunReads) X(tunSuperPackets) X(tunWrites) X(tunCoalesced)                                                \
  X(udpSends) X(udpSegmented) X(udpReceives) X(udpGroReceives) X(tlsWrites)                                 \
  X(rxCompressed) X(txCompressed) X(txCompressionSaved)                                                      \
  X(acksFiltered)

class Counter {
 public:
  // Single writer: a plain load and store is enough and costs no locked instruction.
  void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

static_assert(std::atomic<uint64_t>::is_always_lock_free, "counters are shared between processes");

struct Counters {
#define X(name) Counter name;
  OCVPN_TUNNEL_COUNTERS(X)
#undef X
  // CLOCK_MONOTONIC milliseconds of the last data packet either way; 'idleMs' is computed by the reader.
  Counter lastDataMs;
  Counter dtlsActive;
};

// Hands out zeroed Counters from shared mappings. Not thread-safe: it belongs to the reporting side.
class CounterArena {
 public:
  CounterArena() = default;
  ~CounterArena();
  CounterArena(const CounterArena&) = delete;
  CounterArena& operator=(const CounterArena&) = delete;

  // nullptr when the kernel refuses memory.
  Counters* acquire();
  void release(Counters* counters);

 private:
  static constexpr size_t kPerChunk = 64;
  std::vector<Counters*> chunks_;
  std::vector<Counters*> free_;
};

}  // namespace ocvpn::dataplane
