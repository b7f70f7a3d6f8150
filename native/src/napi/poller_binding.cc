#include "napi/poller_binding.h"

#include <memory>

#include "napi/callback.h"
#include "napi/env_state.h"
#include "napi/loop_poll.h"
#include "napi/napi_util.h"

namespace ocvpn::napi {
namespace {

class PollerWrap : public Napi::ObjectWrap<PollerWrap> {
 public:
  static Napi::Function constructor(Napi::Env env) {
    return DefineClass(env, "Poller",
                       {InstanceMethod<&PollerWrap::set>("set"), InstanceMethod<&PollerWrap::close>("close"),
                        InstanceMethod<&PollerWrap::ref>("ref"), InstanceMethod<&PollerWrap::unref>("unref")});
  }

  explicit PollerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PollerWrap>(info) {
    Args args(info);
    const int fd = args.fd(0);
    Napi::Function on_events = args.function(1, "onEvents");
    if (!args.ok()) return;
    // Shared with a call that is under way, so that close() inside it does not free the function it runs in.
    auto callback = std::make_shared<LoopCallback>(on_events, "ocvpn.Poller");
    Napi::Env env = info.Env();
    const int error = poll_.open(env, fd, [callback, env](int events) {
      callback->call({Napi::Number::New(env, events)});
    });
    if (error != 0) {
      throw_sys_error(env, "uv_poll_init", error);
      return;
    }
    Ref();  // a watched descriptor keeps its poller from being collected
  }

 private:
  Napi::Value set(const Napi::CallbackInfo& info) {
    Args args(info);
    const auto events = static_cast<int>(args.integer(0, "events", 0, LoopPoll::kReadable | LoopPoll::kWritable));
    if (!args.ok()) return info.Env().Undefined();
    const int error = poll_.set(events);
    return error == 0 ? info.Env().Undefined() : throw_sys_error(info.Env(), "uv_poll_start", error);
  }

  void close(const Napi::CallbackInfo&) {
    if (!poll_.is_open()) return;
    poll_.close();
    Unref();
  }

  void ref(const Napi::CallbackInfo&) { poll_.ref(); }
  void unref(const Napi::CallbackInfo&) { poll_.unref(); }

  LoopPoll poll_;
};

struct PollerClass {
  Napi::FunctionReference constructor;
};

}  // namespace

Napi::Value create_poller(const Napi::CallbackInfo& info) {
  auto& cls = EnvState::get<PollerClass>(info.Env());
  if (cls.constructor.IsEmpty()) cls.constructor = Napi::Persistent(PollerWrap::constructor(info.Env()));
  return cls.constructor.New({info[0], info[1]});
}

}  // namespace ocvpn::napi
