// The `Poller` of NativeIo.
#pragma once

#include <napi.h>

namespace ocvpn::napi {

/// createPoller(fd, onEvents).
Napi::Value create_poller(const Napi::CallbackInfo& info);

}  // namespace ocvpn::napi
