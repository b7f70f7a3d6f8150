#include "io/memory_map.h"

#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace ocvpn::io {
namespace {

constexpr size_t kReadStep = 64 * 1024;
// Mappings that the loader made for itself (thread control block, link maps) touch a library and are small. So are
// those of nobody in particular; they cost less than an error would.
constexpr size_t kSmall = 64 * 1024;
constexpr size_t kSmallNeighbour = 256 * 1024;
// glibc's arenas of threads begin at multiples of this (HEAP_MAX_SIZE) with a pointer into the arena's first page.
constexpr uintptr_t kArenaAlignment = uintptr_t{64} << 20;
// Flags in the second word of a chunk that glibc's malloc mapped on its own (IS_MMAPPED).
constexpr size_t kMappedChunk = 2;

int collect_segments(dl_phdr_info* info, size_t, void* into) {
  auto* ranges = static_cast<std::vector<MemoryRange>*>(into);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    ranges->push_back({start, start + header.p_memsz});
  }
  return 0;
}

bool overlaps(const MemoryRange& a, const MemoryRange& b) { return a.start < b.end && b.start < a.end; }

/// pread(2) of two calls that the sandbox of a worker has anyway.
ssize_t read_at(int fd, void* out, size_t length, uint64_t offset) {
  return lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0 ? -1 : read(fd, out, length);
}

bool contains_any(const MemoryRange& range, const std::vector<const void*>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const void* address) { return range.contains(address); });
}

bool touches_named(const std::vector<MemoryMapping>& mappings, size_t i) {
  const MemoryRange& range = mappings[i].range;
  if (i > 0 && !mappings[i - 1].unnamed && mappings[i - 1].range.end == range.start) return true;
  return i + 1 < mappings.size() && !mappings[i + 1].unnamed && mappings[i + 1].range.start == range.end;
}

}  // namespace

std::vector<MemoryMapping> parse_memory_maps(const std::string& text) {
  std::vector<MemoryMapping> mappings;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    uintptr_t start = 0, stop = 0;
    char permissions[5] = {};
    uint64_t inode = 0;
    int name = 0;
    if (sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*s %" SCNu64 "%n", &start, &stop, permissions, &inode,
               &name) != 4) {
      continue;
    }
    const bool named = line.find_first_not_of(' ', static_cast<size_t>(name)) != std::string::npos;
    mappings.push_back({{start, stop}, permissions[0] == 'r', permissions[3] == 's', inode == 0 && !named});
  }
  return mappings;
}

Result<MemoryMap> MemoryMap::open() {
  UniqueFd maps(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  if (!maps) return last_error("open", "/proc/self/maps");
  UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  if (!memory) return last_error("open", "/proc/self/mem");
  return MemoryMap(std::move(maps), std::move(memory));
}

Result<std::string> MemoryMap::read_maps() const {
  std::string text;
  for (size_t length = 0;;) {
    text.resize(length + kReadStep);
    const ssize_t got = read_at(maps_.get(), text.data() + length, kReadStep, length);
    if (got < 0) return last_error("read", "/proc/self/maps");
    length += static_cast<size_t>(got);
    text.resize(length);
    if (got == 0) return text;
  }
}

/// A chunk that malloc mapped, or an arena of a thread. Read through the file: other threads may unmap it meanwhile.
bool MemoryMap::is_mallocs(const MemoryRange& range) const {
  uintptr_t words[2];
  if (read_at(memory_.get(), words, sizeof words, range.start) != sizeof words) return false;
  const uintptr_t chunk = words[1] & ~uintptr_t{7};
  if (words[0] == 0 && (words[1] & 7) == kMappedChunk && chunk > 0 && chunk % 4096 == 0) {
    return chunk <= range.end - range.start;
  }
  const uintptr_t arena = words[0] % kArenaAlignment;
  return range.start % kArenaAlignment == 0 && arena > 0 && arena < 4096;
}

Result<std::vector<MemoryRange>> MemoryMap::foreign(const std::vector<const void*>& needed) const {
  const Result<std::string> text = read_maps();
  if (!text.ok()) return text.error();
  const std::vector<MemoryMapping> mappings = parse_memory_maps(text.value());
  std::vector<MemoryRange> segments;
  dl_iterate_phdr(collect_segments, &segments);
  const std::unique_ptr<void, decltype(&free)> sample(malloc(64), free);  // where the C heap grows now
  const std::vector<const void*> own = {__builtin_frame_address(0), __builtin_thread_pointer(), sample.get()};

  std::vector<MemoryRange> foreign;
  for (size_t i = 0; i < mappings.size(); ++i) {
    const auto& [range, readable, shared, unnamed] = mappings[i];
    const auto is_part = [range = range](const MemoryRange& segment) { return overlaps(range, segment); };
    if (!shared && !unnamed) continue;
    if (contains_any(range, own) || contains_any(range, needed)) continue;
    if (std::any_of(segments.begin(), segments.end(), is_part)) continue;
    const size_t size = range.end - range.start;
    const bool small = size < kSmall || (size < kSmallNeighbour && touches_named(mappings, i));
    if (!shared && readable && (small || is_mallocs(range))) continue;
    foreign.push_back(range);
  }
  return foreign;
}

}  // namespace ocvpn::io
