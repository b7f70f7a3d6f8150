// The network namespace of the calling thread.
#pragma once

#include "io/result.h"

namespace ocvpn::io {

/// Moves the calling thread alone into the namespace that `fd` names (setns(2)). Sockets made before stay where they are.
Status set_network_namespace(int fd);

}  // namespace ocvpn::io
