#include "napi/loop_poll.h"

#include <uv.h>

namespace ocvpn::napi {

static_assert(LoopPoll::kReadable == UV_READABLE && LoopPoll::kWritable == UV_WRITABLE, "masks are libuv's");

// Lives until libuv's close call-back, longer than the LoopPoll. `owner` is null once that is closed.
struct LoopPoll::Handle {
  uv_poll_t poll{};
  LoopPoll* owner = nullptr;
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  OnEvents on_events;
  int wanted = 0;

  static Handle* of(uv_handle_t* handle) { return static_cast<Handle*>(handle->data); }
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_closed(uv_handle_t* poll);
  static void on_cleanup(napi_async_cleanup_hook_handle, void* self);

  int arm() { return wanted == 0 ? -uv_poll_stop(&poll) : -uv_poll_start(&poll, wanted, on_poll); }
};

void LoopPoll::Handle::on_poll(uv_poll_t* poll, int status, int events) {
  Handle* self = of(reinterpret_cast<uv_handle_t*>(poll));
  Napi::HandleScope scope(self->env);
  if (status < 0) {
    // libuv has stopped the handle (POLLERR): go on watching until the owner has seen the error and closes.
    events = self->wanted;
    self->arm();
  }
  const int mask = events & self->wanted;
  if (mask == 0) return;
  // A copy: the call-back may close this poll, and the function must outlive its own call.
  const OnEvents on_events = self->on_events;
  on_events(mask);
}

void LoopPoll::Handle::on_closed(uv_handle_t* poll) {
  Handle* self = of(poll);
  napi_remove_async_cleanup_hook(self->hook);
  delete self;
}

void LoopPoll::Handle::on_cleanup(napi_async_cleanup_hook_handle, void* self) {
  auto* handle = static_cast<Handle*>(self);
  // Closed before: on_closed is on its way and releases the hook.
  if (handle->owner != nullptr) handle->owner->close();
}

int LoopPoll::open(Napi::Env env, int fd, OnEvents on_events) {
  close();
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return ECANCELED;
  auto* handle = new Handle();
  const int error = -uv_poll_init(loop, &handle->poll, fd);
  if (error != 0) {
    delete handle;
    return error;
  }
  handle->poll.data = handle;
  handle->owner = this;
  handle->env = env;
  handle->on_events = std::move(on_events);
  napi_add_async_cleanup_hook(env, Handle::on_cleanup, handle, &handle->hook);
  handle_ = handle;
  return 0;
}

int LoopPoll::set(int events) {
  if (handle_ == nullptr) return EBADF;
  // libuv would tell the kernel again (epoll_ctl).
  if (handle_->wanted == events) return 0;
  handle_->wanted = events;
  return handle_->arm();
}

void LoopPoll::close() {
  if (handle_ == nullptr) return;
  Handle* handle = handle_;
  handle_ = nullptr;
  handle->owner = nullptr;
  handle->wanted = 0;
  uv_poll_stop(&handle->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->poll), Handle::on_closed);
}

void LoopPoll::ref() {
  if (handle_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
}

void LoopPoll::unref() {
  if (handle_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
}

}  // namespace ocvpn::napi
