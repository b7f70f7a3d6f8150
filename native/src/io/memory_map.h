// The memory of this process: what a forked child may give back, because it belongs to its parent's work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::io {

struct MemoryRange {
  uintptr_t start;
  uintptr_t end;

  bool contains(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at >= start && at < end;
  }
};

/// One line of /proc/self/maps.
struct MemoryMapping {
  MemoryRange range;
  bool readable;
  bool shared;
  /// Anonymous without a name: what mmap() gave to somebody. Files, [heap], [stack] and [vdso] are not.
  bool unnamed;
};

/// Text of /proc/self/maps; lines that are not understood are left out.
std::vector<MemoryMapping> parse_memory_maps(const std::string& text);

class MemoryMap {
 public:
  /// Opens /proc/self/maps and mem for reading, which a sandbox may forbid later. A child must close them: they stay
  /// the parent's.
  static Result<MemoryMap> open();

  /// What a child that is forked now from the calling thread can unmap and still run C and C++ code on this stack:
  /// unnamed mappings that are no part of a library's data, of the C heap or of the thread, and all shared ones,
  /// those files apart that libraries were loaded from. A mapping with one of the `needed` addresses stays.
  Result<std::vector<MemoryRange>> foreign(const std::vector<const void*>& needed) const;

 private:
  MemoryMap(UniqueFd maps, UniqueFd memory) : maps_(std::move(maps)), memory_(std::move(memory)) {}

  Result<std::string> read_maps() const;
  bool is_mallocs(const MemoryRange& range) const;

  UniqueFd maps_;
  UniqueFd memory_;
};

}  // namespace ocvpn::io
