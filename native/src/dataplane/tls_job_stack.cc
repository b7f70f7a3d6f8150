#include "dataplane/tls_job_stack.h"

#include <openssl/async.h>
#include <openssl/opensslv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace ocvpn {
namespace {

#if OPENSSL_VERSION_NUMBER >= 0x30200000L

// Far more than a handshake needs; only touched pages cost memory (8 KiB after an ECDSA handshake).
constexpr std::size_t kStackSize = 256 * 1024;

std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

void* allocate_stack(std::size_t* size) {
  const std::size_t guard = page_size();
  void* base = mmap(nullptr, guard + kStackSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  auto* stack = static_cast<std::uint8_t*>(base) + guard;
  if (mprotect(stack, kStackSize, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, guard + kStackSize);
    return nullptr;
  }
  *size = kStackSize;
  return stack;
}

void free_stack(void* stack) {
  if (stack == nullptr) return;
  const std::size_t guard = page_size();
  munmap(static_cast<std::uint8_t*>(stack) - guard, guard + kStackSize);
}

#endif

}  // namespace

void install_job_stacks() {
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
  ASYNC_set_mem_functions(allocate_stack, free_stack);
#endif
}

}  // namespace ocvpn
