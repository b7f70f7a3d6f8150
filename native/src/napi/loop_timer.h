// A one-shot timer on the libuv loop.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>

namespace ocvpn::napi {

/// uv_timer with safe lifetime: it may be stopped or closed inside its own call-back, and the environment's end
/// closes it. Loop's thread only.
class LoopTimer {
 public:
  LoopTimer() = default;
  ~LoopTimer() { close(); }
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  /// `on_timeout` runs once for each start(), with a HandleScope open. 0 or a positive errno.
  int open(Napi::Env env, std::function<void()> on_timeout);
  /// (Re)starts it; 0 ms is the next turn of the loop. Nothing happens after close().
  void start(std::uint64_t milliseconds);
  void stop();
  /// Idempotent; no call-back runs afterwards.
  void close();

 private:
  struct Handle;
  Handle* handle_ = nullptr;
};

}  // namespace ocvpn::napi
