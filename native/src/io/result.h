// Outcome of a system call: a value, or which call failed and how. The layers below napi throw nothing.
#pragma once

#include <cerrno>
#include <string>
#include <utility>
#include <variant>

namespace ocvpn::io {

struct SysError {
  /// Name of the call or operation, e.g. "bind" or "RTM_NEWADDR".
  const char* syscall;
  /// Positive errno.
  int code;
  /// What it was about (address, path, kernel's own text); may be empty.
  std::string detail;
};

/// The failure that errno describes now.
inline SysError last_error(const char* syscall, std::string detail = {}) {
  return SysError{syscall, errno, std::move(detail)};
}

template <typename T>
class Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}          // NOLINT: implicit by design
  Result(SysError error) : state_(std::in_place_index<1>, std::move(error)) {}   // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  T& value() { return *std::get_if<0>(&state_); }
  const T& value() const { return *std::get_if<0>(&state_); }
  const SysError& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, SysError> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace ocvpn::io
