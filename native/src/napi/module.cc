// Entry of the addon. Nothing is global: per-environment state lives in env_state.h.
#include "napi/module.h"

#include "napi/env_state.h"

namespace ocvpn::napi {
namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  EnvState::install(env);
  init_io(env, exports);
  if (init_tls != nullptr) init_tls(env, exports);
  init_certificates(env, exports);
  if (init_dataplane != nullptr) init_dataplane(env, exports);
  return exports;
}

}  // namespace
}  // namespace ocvpn::napi

static Napi::Object ocvpn_init(Napi::Env env, Napi::Object exports) { return ocvpn::napi::init(env, exports); }

NODE_API_MODULE(ocvpn, ocvpn_init)
