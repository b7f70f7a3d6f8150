// Results of the io layer as values or errno errors of JavaScript.
#pragma once

#include "io/result.h"
#include "napi/napi_util.h"

namespace ocvpn::napi {

inline Napi::Value throw_error(Napi::Env env, const io::SysError& error) {
  return throw_sys_error(env, error.syscall, error.code, error.detail);
}

inline Napi::Value done(Napi::Env env, const io::Status& status) {
  return status.ok() ? env.Undefined() : throw_error(env, status.error());
}

}  // namespace ocvpn::napi
