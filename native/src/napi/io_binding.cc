#include "napi/module.h"
#include "napi/poller_binding.h"
namespace ocvpn::napi {
void init_io(Napi::Env env, Napi::Object exports) {
  Napi::Object io = Napi::Object::New(env);
  io.Set("createPoller", Napi::Function::New(env, create_poller, "createPoller"));
  exports.Set("io", io);
}
}
