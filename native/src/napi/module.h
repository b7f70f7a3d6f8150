// The addon's parts: each fills its share of `exports` (NativeBinding in src/core/native/types.ts).
#pragma once

#include <napi.h>

namespace ocvpn::napi {

/// `io`: system calls and the poller.
void init_io(Napi::Env env, Napi::Object exports);

/// `createCertificateVerifier`.
void init_certificates(Napi::Env env, Napi::Object exports);

/// `createTlsContext`, `acceptTls`. Weak: the addon also loads without this part.
__attribute__((weak)) void init_tls(Napi::Env env, Napi::Object exports);

/// `createDataplane`. Weak: the addon also loads without this part.
__attribute__((weak)) void init_dataplane(Napi::Env env, Napi::Object exports);

}  // namespace ocvpn::napi
