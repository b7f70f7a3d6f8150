#include "dataplane/counters.h"

#include <sys/mman.h>

#include <new>

namespace ocvpn::dataplane {

CounterArena::~CounterArena() {
  for (Counters* chunk : chunks_) munmap(chunk, kPerChunk * sizeof(Counters));
}

Counters* CounterArena::acquire() {
  if (free_.empty()) {
    void* memory = mmap(nullptr, kPerChunk * sizeof(Counters), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* chunk = static_cast<Counters*>(memory);
    chunks_.push_back(chunk);
    for (size_t i = kPerChunk; i-- > 0;) free_.push_back(chunk + i);
  }
  Counters* counters = free_.back();
  free_.pop_back();
  return new (counters) Counters();
}

void CounterArena::release(Counters* counters) { free_.push_back(counters); }

}  // namespace ocvpn::dataplane
