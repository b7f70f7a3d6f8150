// The command line of the batched client.
#pragma once

#include <string>

namespace ocvpn::bench {

struct Arguments {
  std::string server;
  std::string port = "443";
  std::string user;
  /** Read from standard input, so that it is in no process list. Not asked for where the certificate is enough. */
  std::string password;
  /** PEM files of a client certificate and its key; empty: none. */
  std::string certificate;
  std::string key;
  std::string device = "tun0";
  bool dtls = true;
  /** Records are opened and sealed past the library where that is possible; of sessions with a device only. */
  bool own_records = true;
  /** 0: one session with a tun device. Otherwise so many sessions without one. */
  unsigned clients = 0;
  /** Sessions that are opened at a time. */
  unsigned parallel = 4;
  /** Seconds between two liveness requests of a session over each of its channels; 0: it asks none. */
  unsigned dpd = 0;
  /** Sessions that send echo requests between SIGUSR1 and SIGUSR2. */
  unsigned active = 0;
  /** Milliseconds between two echo requests of a session. */
  unsigned every = 100;
  /** IPv4 address behind the server that answers them. */
  std::string target;
};

/** Reads the command line and the password. Throws std::invalid_argument that says what is wrong. */
Arguments read_arguments(int argc, char** argv);

}  // namespace ocvpn::bench
