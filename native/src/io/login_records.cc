#include "io/login_records.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <utmpx.h>

#include <algorithm>
#include <cstring>

#include "io/unique_fd.h"

namespace ocvpn::io {
namespace {

/// As much as fits; what is shorter has zeros behind it.
template <size_t N>
void fill(char (&field)[N], const std::string& text) {
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

utmpx record_of(const LoginRecord& login) {
  utmpx record{};
  record.ut_type = login.begins ? USER_PROCESS : DEAD_PROCESS;
  record.ut_pid = login.pid;
  record.ut_tv.tv_sec = static_cast<decltype(record.ut_tv.tv_sec)>(login.seconds);
  fill(record.ut_line, login.line);
  // The last characters tell devices apart.
  fill(record.ut_id, login.line.substr(login.line.size() - std::min(login.line.size(), sizeof record.ut_id)));
  if (!login.begins) return record;
  fill(record.ut_user, login.user);
  fill(record.ut_host, login.host);
  if (inet_pton(AF_INET, login.host.c_str(), record.ut_addr_v6) != 1)
    inet_pton(AF_INET6, login.host.c_str(), record.ut_addr_v6);
  return record;
}

bool replaceable(const utmpx& old, const utmpx& fresh) {
  return (old.ut_type == USER_PROCESS || old.ut_type == DEAD_PROCESS) &&
         std::memcmp(old.ut_line, fresh.ut_line, sizeof fresh.ut_line) == 0;
}

/// Where the record belongs: in place of the same line's, else at the end of the whole records.
Result<off_t> place_of(int fd, const utmpx& fresh) {
  utmpx old;
  for (off_t at = 0;; at += sizeof old) {
    const ssize_t length = pread(fd, &old, sizeof old, at);
    if (length < 0) return last_error("pread");
    if (length < static_cast<ssize_t>(sizeof old) || replaceable(old, fresh)) return at;
  }
}

Status write_utmp(const std::string& path, const utmpx& record) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? Status(Done{}) : last_error("open", path);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_SETLK, &whole) != 0) return SysError{"fcntl F_SETLK", errno == EACCES ? EAGAIN : errno, path};
  const auto place = place_of(fd.get(), record);
  if (!place.ok()) return place.error();
  if (pwrite(fd.get(), &record, sizeof record, place.value()) != sizeof record) return last_error("pwrite", path);
  return Done{};
}

Status append_wtmp(const std::string& path, const utmpx& record) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? Status(Done{}) : last_error("open", path);
  if (write(fd.get(), &record, sizeof record) != sizeof record) return last_error("write", path);
  return Done{};
}

}  // namespace

Status write_login(const LoginFiles& files, const LoginRecord& login, bool history) {
  const utmpx record = record_of(login);
  if (const auto status = write_utmp(files.utmp, record); !status.ok()) return status;
  return history ? append_wtmp(files.wtmp, record) : Status(Done{});
}

}  // namespace ocvpn::io
