#include "dataplane/taken_over.h"

#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>

#include "dataplane/dataplane_fixture.h"

namespace ocvpn::test {
namespace {

#if defined(__x86_64__)
using Registers = user_regs_struct;
constexpr unsigned kInstructionSize = 2;
constexpr long kInstruction = 0x050f, kInstructionMask = 0xffff;  // syscall
unsigned long& position(Registers& r) { return reinterpret_cast<unsigned long&>(r.rip); }
long result_of(const Registers& r) { return static_cast<long>(r.rax); }
void set_call(Registers& r, const Call& call) {
  const auto& a = call.arguments;
  r.orig_rax = ~0UL;  // nothing to be restarted
  r.rax = static_cast<unsigned long>(call.number);
  r.rdi = a[0], r.rsi = a[1], r.rdx = a[2], r.r10 = a[3], r.r8 = a[4], r.r9 = a[5];
}
#elif defined(__aarch64__)
using Registers = user_regs_struct;
constexpr unsigned kInstructionSize = 4;
constexpr long kInstruction = 0xd4000001, kInstructionMask = 0xffffffff;  // svc #0
unsigned long& position(Registers& r) { return reinterpret_cast<unsigned long&>(r.pc); }
long result_of(const Registers& r) { return static_cast<long>(r.regs[0]); }
void set_call(Registers& r, const Call& call) {
  for (size_t i = 0; i < call.arguments.size(); ++i) r.regs[i] = call.arguments[i];
  r.regs[8] = static_cast<unsigned long>(call.number);
}
#endif

/** The next stop or the end, which stays there for whoever waits for the process otherwise. */
siginfo_t next_state(pid_t pid) {
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WSTOPPED | WNOWAIT) != 0 && errno == EINTR) {
  }
  if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED) {
    siginfo_t taken{};
    waitid(P_PID, static_cast<id_t>(pid), &taken, WSTOPPED);
  }
  return info;
}

bool transfer(__ptrace_request request, pid_t pid, Registers* registers) {
  iovec whole{registers, sizeof *registers};
  return ptrace(request, pid, NT_PRSTATUS, &whole) == 0;
}

/** Stops it right behind the instruction of a system call. */
bool stop_in_call(pid_t pid, Registers* registers) {
  return eventually([&] {
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0 || next_state(pid).si_code != CLD_TRAPPED) return false;
    if (!transfer(PTRACE_GETREGSET, pid, registers)) return false;
    const long text = ptrace(PTRACE_PEEKTEXT, pid, position(*registers) - kInstructionSize, 0);
    if ((text & kInstructionMask) == kInstruction) return true;
    ptrace(PTRACE_CONT, pid, 0, 0);
    return false;
  });
}

}  // namespace

std::optional<long> make_call(pid_t pid, const Call& call) {
  Registers before;
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0 || !stop_in_call(pid, &before)) {
    fail(__FILE__, __LINE__, "the process cannot be traced");
    return -ESRCH;
  }
  Registers registers = before;
  position(registers) -= kInstructionSize;
  set_call(registers, call);
  const bool stepped = transfer(PTRACE_SETREGSET, pid, &registers) && ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0;
  if (!stepped) fail(__FILE__, __LINE__, "the process cannot be led");
  const siginfo_t after = next_state(pid);
  if (after.si_code == CLD_KILLED || after.si_code == CLD_DUMPED) {
    CHECK_EQ(after.si_status, SIGSYS);
    return std::nullopt;
  }
  CHECK(transfer(PTRACE_GETREGSET, pid, &registers) && transfer(PTRACE_SETREGSET, pid, &before));
  ptrace(PTRACE_DETACH, pid, 0, 0);
  return result_of(registers);
}

}  // namespace ocvpn::test
