// A tunnel that passes through its channel into the process that will serve it: two messages, one for each descriptor,
// which wait there before the process exists. So its keys are never in the template that the process is cloned from.
#pragma once

#include <memory>

#include "dataplane/setup.h"

namespace ocvpn::dataplane {

// Whether the tunnel can pass: its connection's data goes past the library (TLS 1.3 with AES-GCM). Writes the response
// into the connection's output; whoever opens the tunnel otherwise sends it.
bool prepare_handover(TunnelSetup* setup);

// Sends what prepare_handover() made ready. The descriptors stay open here. false and errno: it does not fit into a
// message or into the socket.
bool send_handover(int channel, const TunnelSetup& setup);

// Takes the two messages from `channel`, where they must wait. null: they are not there or not sound.
std::unique_ptr<TunnelSetup> receive_handover(int channel, Counters* counters);

}  // namespace ocvpn::dataplane
