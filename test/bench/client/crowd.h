// Many sessions from one process, without tun devices: for logins per second and memory per client.
#pragma once

#include <memory>
#include <vector>

#include "arguments.h"
#include "session.h"

namespace ocvpn::bench {

using Crowd = std::vector<std::unique_ptr<Session>>;

/** Opens `arguments.clients` sessions, `arguments.parallel` at a time. Throws what the first failure threw. */
Crowd open_crowd(const Contexts& contexts, const Arguments& arguments);

/** Answers liveness requests until `stop_fd` becomes readable. Returns how many sessions the server ended meanwhile. */
unsigned hold_crowd(Crowd* crowd, int stop_fd);

}  // namespace ocvpn::bench
