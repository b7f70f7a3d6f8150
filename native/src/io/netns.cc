#include "io/netns.h"

#include <sched.h>

namespace ocvpn::io {

Status set_network_namespace(int fd) {
  if (setns(fd, CLONE_NEWNET) != 0) return last_error("setns");
  return Done{};
}

}  // namespace ocvpn::io
