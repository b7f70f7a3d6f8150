#include "napi/loop_timer.h"

#include <uv.h>

#include <cerrno>

namespace ocvpn::napi {

// Lives until libuv's close call-back, longer than the LoopTimer. `owner` is null once that is closed.
struct LoopTimer::Handle {
  uv_timer_t timer{};
  LoopTimer* owner = nullptr;
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  std::function<void()> on_timeout;

  static void on_timer(uv_timer_t* timer) {
    auto* self = static_cast<Handle*>(timer->data);
    Napi::HandleScope scope(self->env);
    // A copy: the call-back may close this timer.
    const std::function<void()> on_timeout = self->on_timeout;
    on_timeout();
  }
  static void on_closed(uv_handle_t* timer) {
    auto* self = static_cast<Handle*>(timer->data);
    napi_remove_async_cleanup_hook(self->hook);
    delete self;
  }
  static void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
    auto* self = static_cast<Handle*>(data);
    if (self->owner != nullptr) self->owner->close();
  }
};

int LoopTimer::open(Napi::Env env, std::function<void()> on_timeout) {
  close();
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return ECANCELED;
  handle_ = new Handle();
  uv_timer_init(loop, &handle_->timer);
  handle_->timer.data = handle_;
  handle_->owner = this;
  handle_->env = env;
  handle_->on_timeout = std::move(on_timeout);
  napi_add_async_cleanup_hook(env, Handle::on_cleanup, handle_, &handle_->hook);
  return 0;
}

void LoopTimer::start(std::uint64_t milliseconds) {
  if (handle_ != nullptr) uv_timer_start(&handle_->timer, Handle::on_timer, milliseconds, 0);
}

void LoopTimer::stop() {
  if (handle_ != nullptr) uv_timer_stop(&handle_->timer);
}

void LoopTimer::close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  uv_timer_stop(&handle->timer);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->timer), Handle::on_closed);
}

}  // namespace ocvpn::napi
