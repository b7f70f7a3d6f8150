// The command line of the batched client.
#pragma once

#include <string>

namespace ocvpn::bench {

struct Arguments {
  std::string server;
  std::string port = "443";
  std::string user;
  /** Read from standard input, so that it is in no process list. */
  std::string password;
  std::string device = "tun0";
  bool dtls = true;
  /** 0: one session with a tun device. Otherwise so many sessions without one. */
  unsigned clients = 0;
  /** Sessions that are opened at a time. */
  unsigned parallel = 4;
};

/** Reads the command line and the password. Throws std::invalid_argument that says what is wrong. */
Arguments read_arguments(int argc, char** argv);

}  // namespace ocvpn::bench
