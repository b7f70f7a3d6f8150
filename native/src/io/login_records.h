// The records of who is logged in (utmp) and who was (wtmp), utmp(5).
#pragma once

#include <cstdint>
#include <string>

#include "io/result.h"

namespace ocvpn::io {

struct LoginFiles {
  std::string utmp;
  std::string wtmp;
};

struct LoginRecord {
  /// True for the beginning of a session, false for its end.
  bool begins = true;
  std::string user;
  /// Device of the session, which stands for the terminal.
  std::string line;
  /// Address of the client.
  std::string host;
  int pid = 0;
  /// Since the epoch. Programs that read these files take them for 32 bits.
  int64_t seconds = 0;
};

/// Writes the record in place of that of the same line into utmp, and to the end of wtmp where `history` is set. A file that
/// is not there is left out, as everywhere (utmp(5)). Never waits: EAGAIN when somebody holds a lock on utmp, with nothing
/// written then.
Status write_login(const LoginFiles& files, const LoginRecord& record, bool history);

}  // namespace ocvpn::io
