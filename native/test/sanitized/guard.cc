/// Loaded into node before the sanitizers' runtime by scripts/sanitized.sh: their options, which no environment variable has
/// to carry into workers, and the memory in which the reports of all processes meet.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

namespace {

/// The file GUARD_REPORTS, shared by every process: a locked-down worker could open none.
struct Reports {
  std::atomic<unsigned> count;
  std::atomic<unsigned> used;
  char text[64 * 1024 - 2 * sizeof(std::atomic<unsigned>)];
};
Reports* reports = nullptr;

void note(const char* text) {
  if (reports == nullptr) return;
  reports->count.fetch_add(1);
  const auto length = static_cast<unsigned>(strlen(text));
  const unsigned at = reports->used.fetch_add(length);
  if (at + length <= sizeof reports->text) memcpy(reports->text + at, text, length);
}

}  // namespace

extern "C" {

void __asan_set_error_report_callback(void (*callback)(const char*));
void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file, unsigned* line,
                                     unsigned* column, char** memory);

/// Workers can neither start a symbolizer nor trace themselves for leaks; stacks of OpenSSL's jobs are no thread's.
__attribute__((visibility("default"))) const char* __asan_default_options() {
  return "verify_asan_link_order=0:color=never:detect_leaks=0:symbolize=0:detect_stack_use_after_return=0:abort_on_error=1:"
         "handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:handle_abort=2:allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=8";
}

__attribute__((visibility("default"))) const char* __ubsan_default_options() {
  return "color=never:symbolize=0:print_stacktrace=1:abort_on_error=1";
}

__attribute__((visibility("default"))) void __ubsan_on_report() {
  const char *kind, *message, *file;
  unsigned line, column;
  char* memory;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &memory);
  char text[1024];
  snprintf(text, sizeof text, "%s:%u:%u: %s: %s\n", file, line, column, kind, message);
  note(text);
}

/// A bound on private memory would count the shadow memory, which is larger than all that a worker may have.
__attribute__((visibility("default"))) int setrlimit(__rlimit_resource_t resource, const struct rlimit* wanted) noexcept {
  return resource == RLIMIT_DATA ? 0 : prlimit(0, static_cast<__rlimit_resource>(resource), wanted, nullptr);
}

}  // extern "C"

__attribute__((constructor)) static void begin() {
  const int file = open(GUARD_REPORTS, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* memory = mmap(nullptr, sizeof(Reports), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return;
  reports = static_cast<Reports*>(memory);
  __asan_set_error_report_callback(note);
}
