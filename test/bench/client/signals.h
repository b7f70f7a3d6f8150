// Signals as bytes of a pipe.
#pragma once

namespace ocvpn::bench {

/**
 * A descriptor from which a byte can be read for each SIGINT and SIGTERM, and with `crowd` SIGUSR1 and SIGUSR2: the
 * signal's number. Not a signalfd: for one every thread has to block the signals, and Node's threads are there already.
 * Throws std::runtime_error.
 */
int signal_descriptor(bool crowd);

}  // namespace ocvpn::bench
