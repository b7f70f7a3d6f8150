// The Unix groups of a user, by the system's databases (nsswitch.conf). Header only: addons of plugins use it, too.
#pragma once

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/types.h>

#include <algorithm>
#include <string>
#include <vector>

struct UnixGroup {
  std::string name;
  gid_t gid;
};

namespace unix_groups {

// Groups of one user and bytes of one entry of the user or group database, at most.
constexpr int kMaxGroups = 4096;
constexpr size_t kMaxEntryBytes = 1 << 20;

// Calls a getXXX_r function with a buffer that is large enough.
template <typename Entry, typename Look>
bool LookUp(Entry* entry, std::vector<char>* buffer, Look look) {
  for (buffer->resize(4096);; buffer->resize(buffer->size() * 2)) {
    Entry* found = nullptr;
    int error = look(entry, buffer->data(), buffer->size(), &found);
    if (error != ERANGE || buffer->size() >= kMaxEntryBytes) return error == 0 && found != nullptr;
  }
}

// The primary group first; none for a user without an account. May block: the databases may be in a network.
inline std::vector<UnixGroup> GroupsOf(const std::string& user) {
  std::vector<UnixGroup> groups;
  std::vector<char> buffer;
  passwd account;
  bool known = LookUp(&account, &buffer, [&](passwd* entry, char* data, size_t size, passwd** found) {
    return getpwnam_r(user.c_str(), entry, data, size, found);
  });
  if (!known) return groups;
  int count = 64;
  std::vector<gid_t> ids(count);
  if (getgrouplist(user.c_str(), account.pw_gid, ids.data(), &count) < 0) {
    if (count > kMaxGroups) count = kMaxGroups;
    ids.resize(count);
    getgrouplist(user.c_str(), account.pw_gid, ids.data(), &count);
  }
  ids.resize(std::min(ids.size(), static_cast<size_t>(count)));
  for (gid_t gid : ids) {
    group entry;
    bool named = LookUp(&entry, &buffer, [gid](group* into, char* data, size_t size, group** found) {
      return getgrgid_r(gid, into, data, size, found);
    });
    if (named) groups.push_back({entry.gr_name, gid});
  }
  return groups;
}

}  // namespace unix_groups
