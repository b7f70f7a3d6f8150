// A watched descriptor on the libuv loop: what Poller, TlsConnection and others build on.
#pragma once

#include <napi.h>

#include <functional>

namespace ocvpn::napi {

/// uv_poll with safe lifetime: it may be closed inside its own call-back, and the environment's end closes it.
/// Level triggered. Does not own the descriptor, which must stay open until close(). Loop's thread only.
class LoopPoll {
 public:
  static constexpr int kReadable = 1;  // UV_READABLE
  static constexpr int kWritable = 2;  // UV_WRITABLE

  /// `on_events` gets a mask of kReadable and kWritable. A socket error is reported as every event that was
  /// asked for, so that the next system call meets it. Called with a HandleScope open.
  using OnEvents = std::function<void(int events)>;

  LoopPoll() = default;
  ~LoopPoll() { close(); }
  LoopPoll(const LoopPoll&) = delete;
  LoopPoll& operator=(const LoopPoll&) = delete;

  /// Starts with no events. 0, or a positive errno (EEXIST: watched already, EPERM: not pollable, such as a file).
  int open(Napi::Env env, int fd, OnEvents on_events);
  /// 0 pauses. Returns 0 or a positive errno; EBADF after close().
  int set(int events);
  /// Idempotent; no call-back runs afterwards.
  void close();
  bool is_open() const { return handle_ != nullptr; }
  void ref();
  void unref();

 private:
  struct Handle;
  Handle* handle_ = nullptr;
};

}  // namespace ocvpn::napi
