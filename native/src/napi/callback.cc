#include "napi/callback.h"

#include <mutex>

namespace ocvpn::napi {

LoopCallback::LoopCallback(Napi::Function function, const char* resource)
    : function_(Napi::Persistent(function)), context_(function.Env(), resource) {}

bool LoopCallback::call(std::initializer_list<napi_value> arguments) const {
  Napi::Env env = function_.Env();
  // The C call, because node-addon-api's throws the failure again, which aborts the process when the environment
  // ends meanwhile (a worker thread that calls process.exit() in its call-back).
  napi_value receiver = nullptr;
  if (napi_get_global(env, &receiver) != napi_ok) return false;
  const napi_status status =
      napi_make_callback(env, context_, receiver, function_.Value(), arguments.size(), arguments.begin(), nullptr);
  const bool raised = raise_pending_exception(env);
  return status == napi_ok && !raised;
}

bool raise_pending_exception(Napi::Env env) {
  bool pending = false;
  napi_value exception = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return false;
  if (napi_get_and_clear_last_exception(env, &exception) != napi_ok) return true;
  napi_fatal_exception(env, exception);
  return true;
}

// The thread-safe function may outlive the notifier by one queued call, so both share this.
struct LoopNotifier::Shared {
  std::mutex mutex;
  napi_threadsafe_function function = nullptr;  // null once closed or torn down; guarded by mutex
  std::function<void(Napi::Env)> on_wake;       // loop's thread only
  napi_env env = nullptr;
};

std::shared_ptr<LoopNotifier> LoopNotifier::create(Napi::Env env, const char* resource,
                                                   std::function<void(Napi::Env)> on_wake) {
  auto shared = std::make_shared<Shared>();
  shared->on_wake = std::move(on_wake);
  shared->env = env;
  auto* held = new std::shared_ptr<Shared>(shared);
  const auto call = [](napi_env raw, napi_value, void* context, void*) {
    if (raw == nullptr) return;  // the environment ends
    auto keep = *static_cast<std::shared_ptr<Shared>*>(context);
    if (!keep->on_wake) return;
    Napi::HandleScope scope(raw);
    keep->on_wake(Napi::Env(raw));
    raise_pending_exception(Napi::Env(raw));
  };
  const auto finalize = [](napi_env, void* data, void*) {
    auto* holder = static_cast<std::shared_ptr<Shared>*>(data);
    {
      std::lock_guard<std::mutex> lock((*holder)->mutex);
      (*holder)->function = nullptr;
    }
    delete holder;
  };
  // A queue of one merges wake-ups: a full queue means that one is due anyway.
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, resource), 1, 1, held, finalize,
                                      held, call, &shared->function);
  if (status != napi_ok) {
    delete held;
    return nullptr;
  }
  return std::shared_ptr<LoopNotifier>(new LoopNotifier(std::move(shared)));
}

LoopNotifier::LoopNotifier(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

LoopNotifier::~LoopNotifier() {
  std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->function != nullptr) napi_release_threadsafe_function(shared_->function, napi_tsfn_abort);
  shared_->function = nullptr;
}

void LoopNotifier::notify() {
  std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->function != nullptr) napi_call_threadsafe_function(shared_->function, nullptr, napi_tsfn_nonblocking);
}

void LoopNotifier::close() {
  shared_->on_wake = nullptr;
  std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->function != nullptr) napi_release_threadsafe_function(shared_->function, napi_tsfn_abort);
  shared_->function = nullptr;
}

void LoopNotifier::ref() {
  std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->function != nullptr) napi_ref_threadsafe_function(shared_->env, shared_->function);
}

void LoopNotifier::unref() {
  std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->function != nullptr) napi_unref_threadsafe_function(shared_->env, shared_->function);
}

CleanupHook::CleanupHook(Napi::Env env, std::function<void()> hook) : env_(env), hook_(std::move(hook)) {
  napi_add_env_cleanup_hook(env_, run, this);
}

CleanupHook::~CleanupHook() {
  if (!done_) napi_remove_env_cleanup_hook(env_, run, this);
}

void CleanupHook::run(void* self) {
  auto* hook = static_cast<CleanupHook*>(self);
  hook->done_ = true;
  hook->hook_();
}

}  // namespace ocvpn::napi
