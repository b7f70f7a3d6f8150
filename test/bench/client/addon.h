// The programs of this folder are addons: they run in a `node`, for the OpenSSL that is inside it (program.cjs).
#pragma once

namespace ocvpn::bench {

/** What main() would be: each program defines it. Returns the exit status. */
int run(int argc, char** argv);

}  // namespace ocvpn::bench
