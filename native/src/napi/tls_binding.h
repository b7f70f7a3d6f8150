// What other bindings need of the TLS part.
#pragma once

#include <napi.h>

#include <memory>

#include "dataplane/tls_stream.h"

namespace ocvpn::napi {

/// Moves the stream out of a JavaScript TlsConnection (see TlsConnection::release). null, with an exception
/// pending: not a TlsConnection, or not in a state to be moved.
std::unique_ptr<TlsStream> take_tls_stream(Napi::Env env, Napi::Value connection);

}  // namespace ocvpn::napi
