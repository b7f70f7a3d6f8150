// Calls from the event loop, and from other threads, into JavaScript.
#pragma once

#include <napi.h>

#include <functional>
#include <initializer_list>
#include <memory>

namespace ocvpn::napi {

/// A JavaScript function that C++ calls from the libuv loop (uv handles, thread-safe functions). Runs
/// microtasks and nextTick afterwards, as every call-back of Node does; an exception that the function throws
/// becomes an 'uncaughtException', never a pending one. Not for other threads: see LoopNotifier.
class LoopCallback {
 public:
  /// `resource` is the name that async_hooks show, e.g. "ocvpn.Poller".
  LoopCallback(Napi::Function function, const char* resource);
  LoopCallback(const LoopCallback&) = delete;
  LoopCallback& operator=(const LoopCallback&) = delete;

  /// Calls it with `arguments`; the caller holds a HandleScope. False when it threw or the environment ends.
  bool call(std::initializer_list<napi_value> arguments) const;

 private:
  Napi::FunctionReference function_;
  Napi::AsyncContext context_;
};

/// Routes a pending JavaScript exception to 'uncaughtException'. True when there was one.
bool raise_pending_exception(Napi::Env env);

/// Wakes the libuv loop from another thread. Wake-ups may merge: `on_wake` runs at least once after the last
/// notify(), on the loop's thread, with a HandleScope open. Shared with the thread by shared_ptr; after close()
/// notify() does nothing.
class LoopNotifier {
 public:
  static std::shared_ptr<LoopNotifier> create(Napi::Env env, const char* resource,
                                              std::function<void(Napi::Env)> on_wake);
  ~LoopNotifier();
  LoopNotifier(const LoopNotifier&) = delete;
  LoopNotifier& operator=(const LoopNotifier&) = delete;

  /// Any thread.
  void notify();
  /// Loop's thread only; no on_wake runs afterwards. Idempotent.
  void close();
  /// Loop's thread only: whether it keeps the process alive (it does at first).
  void ref();
  void unref();

 private:
  struct Shared;
  explicit LoopNotifier(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

/// Runs `hook` when the environment is torn down, unless the object was destroyed before.
class CleanupHook {
 public:
  CleanupHook(Napi::Env env, std::function<void()> hook);
  ~CleanupHook();
  CleanupHook(const CleanupHook&) = delete;
  CleanupHook& operator=(const CleanupHook&) = delete;

 private:
  static void run(void* self);
  napi_env env_;
  std::function<void()> hook_;
  bool done_ = false;
};

}  // namespace ocvpn::napi
