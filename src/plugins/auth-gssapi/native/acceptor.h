// The accepting side of GSSAPI (RFC 2743) with Kerberos 5, by itself or inside SPNEGO (RFC 4178). Everything here blocks:
// it reads the keytab and the replay cache, and asks the system's databases for the user's groups.
#pragma once

#include <gssapi/gssapi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "unix_groups.h"

// The keys of the service; shared by all contexts.
class Credential {
 public:
  // `keytab` as in krb5.conf(5), empty: the system's. null: `error` says why.
  static std::shared_ptr<const Credential> Acquire(const std::string& keytab, std::string* error);
  explicit Credential(gss_cred_id_t handle) : handle_(handle) {}
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;
  ~Credential();

  gss_cred_id_t handle() const { return handle_; }

 private:
  gss_cred_id_t handle_;
};

// What one leg brought. With an error nothing but the token counts, and that only if there is one.
struct LegOutcome {
  std::string error;
  // No further leg is needed.
  bool complete = false;
  // For the peer; may be empty.
  std::string token;
  // When complete: who it is, e.g. alice@EXAMPLE.COM.
  std::string principal;
  // The name that auth_to_local of krb5.conf(5) gives it; empty: none.
  std::string local_name;
  // When the user showed his password (or key) to the KDC, seconds since the epoch; 0: unknown.
  int64_t auth_time = 0;
  // Of local_name, or of the principal without one.
  std::vector<UnixGroup> groups;
};

// One negotiation. Its legs must not overlap.
class Negotiation {
 public:
  explicit Negotiation(std::shared_ptr<const Credential> credential) : credential_(std::move(credential)) {}
  Negotiation(const Negotiation&) = delete;
  Negotiation& operator=(const Negotiation&) = delete;
  ~Negotiation();

  // The next token of the peer.
  LegOutcome Accept(const std::string& token);

 private:
  void Identify(gss_name_t peer, LegOutcome* outcome);

  const std::shared_ptr<const Credential> credential_;
  gss_ctx_id_t context_ = GSS_C_NO_CONTEXT;
};
