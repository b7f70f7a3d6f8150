#include "io/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace ocvpn::io {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
// x32 says that it is x86_64 and marks its numbers with this bit (<asm/unistd.h>).
constexpr uint32_t kX32Bit = 0x40000000;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the system call filter does not know this architecture"
#endif

constexpr uint32_t kNumber = offsetof(seccomp_data, nr);

// BPF reads 32 bits at a time, and both architectures are little endian.
constexpr uint32_t lower_half(unsigned argument) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(uint64_t));
}
constexpr uint32_t upper_half(unsigned argument) { return lower_half(argument) + sizeof(uint32_t); }

sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter give(SeccompAction action) { return BPF_STMT(BPF_RET | BPF_K, action.value()); }
sock_filter mask_with(uint32_t bits) { return BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits); }
sock_filter unless_equal_skip(uint32_t value, uint8_t count) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count); }

}  // namespace

SeccompAction SeccompAction::allow() { return SeccompAction(SECCOMP_RET_ALLOW); }
SeccompAction SeccompAction::fail(int error) {
  return SeccompAction(SECCOMP_RET_ERRNO | (static_cast<uint32_t>(error) & SECCOMP_RET_DATA));
}
SeccompAction SeccompAction::kill() { return SeccompAction(SECCOMP_RET_KILL_PROCESS); }

SeccompFilter::SeccompFilter(SeccompAction otherwise) {
  program_.push_back(load(offsetof(seccomp_data, arch)));
  program_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
  program_.push_back(give(SeccompAction::kill()));
  program_.push_back(load(kNumber));
#if defined(__x86_64__)
  program_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1));
  program_.push_back(give(SeccompAction::kill()));
#endif
  program_.push_back(give(otherwise));
}

// The number of the call is in the accumulator before and after each rule.
SeccompFilter& SeccompFilter::add(SeccompAction action, std::initializer_list<int> calls) {
  for (const int call : calls) {
    push(unless_equal_skip(static_cast<uint32_t>(call), 1));
    push(give(action));
  }
  return *this;
}

SeccompFilter& SeccompFilter::add(SeccompAction action, int call, SeccompArgument when) {
  const auto upper_mask = static_cast<uint32_t>(when.mask >> 32);
  const auto upper_value = static_cast<uint32_t>(when.value >> 32);
  const bool has_upper = upper_mask != 0 || upper_value != 0;
  // Instructions between the first comparison and the end of the rule.
  push(unless_equal_skip(static_cast<uint32_t>(call), has_upper ? 8 : 5));
  push(load(lower_half(when.index)));
  push(mask_with(static_cast<uint32_t>(when.mask)));
  push(unless_equal_skip(static_cast<uint32_t>(when.value), has_upper ? 4 : 1));
  if (has_upper) {
    push(load(upper_half(when.index)));
    push(mask_with(upper_mask));
    push(unless_equal_skip(upper_value, 1));
  }
  push(give(action));
  push(load(kNumber));
  return *this;
}

Status SeccompFilter::install() const {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return last_error("prctl PR_SET_NO_NEW_PRIVS");
  return install_with_privileges();
}

Status SeccompFilter::install_with_privileges() const {
  if (program_.size() > BPF_MAXINSNS) return SysError{"seccomp", EINVAL, "the filter is too long"};
  const sock_fprog program{static_cast<unsigned short>(program_.size()), const_cast<sock_filter*>(program_.data())};
  const long diverging = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (diverging < 0) return last_error("seccomp");
  if (diverging > 0) return SysError{"seccomp", EPERM, "thread " + std::to_string(diverging) + " cannot follow"};
  return Done{};
}

void SeccompFilter::push(const sock_filter& instruction) {
  program_.insert(program_.end() - 1, instruction);
}

}  // namespace ocvpn::io
