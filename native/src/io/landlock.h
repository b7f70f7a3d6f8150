// Landlock: no file can be opened and no connection made any more (landlock(7)).
#pragma once

#include "io/result.h"

namespace ocvpn::io {

/// Version of the interface that this kernel has, 0 without Landlock.
int landlock_version();

/// Takes every access to files from all threads (see in_every_thread), from version 4 also TCP bind and connect, from
/// version 6 also abstract unix sockets of, and signals to, processes outside. Descriptors that are open keep working,
/// and so do unix sockets with a path. Needs no_new_privs. Does nothing where the kernel has no Landlock.
Status deny_files_and_network();

}  // namespace ocvpn::io
