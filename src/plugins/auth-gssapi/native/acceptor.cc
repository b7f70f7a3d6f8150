#include "acceptor.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

namespace {

// OIDs of the mechanisms: RFC 4178 section 3 and RFC 4121 section 1.
gss_OID_desc kSpnego = {6, const_cast<char*>("\x2b\x06\x01\x05\x05\x02")};
gss_OID_desc kKerberos = {9, const_cast<char*>("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02")};

// A buffer that GSSAPI filled.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    OM_uint32 minor;
    gss_release_buffer(&minor, &desc_);
  }
  gss_buffer_t out() { return &desc_; }
  std::string str() const { return std::string(static_cast<const char*>(desc_.value), desc_.length); }

 private:
  gss_buffer_desc desc_ = GSS_C_EMPTY_BUFFER;
};

class Name {
 public:
  Name() = default;
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  ~Name() {
    OM_uint32 minor;
    gss_release_name(&minor, &handle_);
  }
  gss_name_t* out() { return &handle_; }
  gss_name_t get() const { return handle_; }

 private:
  gss_name_t handle_ = GSS_C_NO_NAME;
};

void AppendStatus(OM_uint32 code, int type, gss_OID mechanism, std::string* text) {
  OM_uint32 more = 0;
  do {
    OM_uint32 minor;
    Buffer message;
    if (GSS_ERROR(gss_display_status(&minor, code, type, mechanism, &more, message.out()))) return;
    if (!text->empty()) *text += ": ";
    *text += message.str();
  } while (more != 0);
}

std::string Describe(OM_uint32 major, OM_uint32 minor, gss_OID mechanism) {
  std::string text;
  AppendStatus(major, GSS_C_GSS_CODE, GSS_C_NO_OID, &text);
  if (minor != 0) AppendStatus(minor, GSS_C_MECH_CODE, mechanism, &text);
  return text;
}

}  // namespace

std::shared_ptr<const Credential> Credential::Acquire(const std::string& keytab, std::string* error) {
  gss_OID_desc mechanisms[] = {kSpnego, kKerberos};
  gss_OID_set_desc wanted = {2, mechanisms};
  gss_OID_set_desc negotiable = {1, &mechanisms[1]};
  gss_key_value_element_desc place = {"keytab", keytab.c_str()};
  gss_key_value_set_desc store = {keytab.empty() ? 0u : 1u, &place};
  OM_uint32 minor;
  gss_cred_id_t handle = GSS_C_NO_CREDENTIAL;
  OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &wanted, GSS_C_ACCEPT, &store,
                                          &handle, nullptr, nullptr);
  if (GSS_ERROR(major)) {
    *error = Describe(major, minor, &kKerberos);
    return nullptr;
  }
  auto credential = std::make_shared<const Credential>(handle);
  // No other mechanism that this machine happens to have.
  major = gss_set_neg_mechs(&minor, handle, &negotiable);
  if (!GSS_ERROR(major)) return credential;
  *error = Describe(major, minor, &kSpnego);
  return nullptr;
}

Credential::~Credential() {
  OM_uint32 minor;
  gss_release_cred(&minor, &handle_);
}

Negotiation::~Negotiation() {
  OM_uint32 minor;
  gss_delete_sec_context(&minor, &context_, GSS_C_NO_BUFFER);
}

LegOutcome Negotiation::Accept(const std::string& token) {
  LegOutcome outcome;
  gss_buffer_desc input = {token.size(), const_cast<char*>(token.data())};
  Buffer output;
  Name peer;
  gss_OID mechanism = GSS_C_NO_OID;
  OM_uint32 minor;
  OM_uint32 major =
      gss_accept_sec_context(&minor, &context_, credential_->handle(), &input, GSS_C_NO_CHANNEL_BINDINGS, peer.out(),
                             &mechanism, output.out(), nullptr, nullptr, nullptr);
  outcome.token = output.str();
  if (GSS_ERROR(major)) {
    outcome.error = Describe(major, minor, mechanism);
    return outcome;
  }
  outcome.complete = (major & GSS_S_CONTINUE_NEEDED) == 0;
  if (outcome.complete) Identify(peer.get(), &outcome);
  return outcome;
}

void Negotiation::Identify(gss_name_t peer, LegOutcome* outcome) {
  OM_uint32 minor;
  Buffer shown, local;
  OM_uint32 major = gss_display_name(&minor, peer, shown.out(), nullptr);
  if (GSS_ERROR(major)) {
    outcome->error = Describe(major, minor, &kKerberos);
    return;
  }
  outcome->principal = shown.str();
  if (!GSS_ERROR(gss_localname(&minor, peer, GSS_C_NO_OID, local.out()))) outcome->local_name = local.str();
  krb5_timestamp when = 0;
  // Unsigned: the 32 bits last until 2106 (as krb5's own ts2tt does).
  if (!GSS_ERROR(gsskrb5_extract_authtime_from_sec_context(&minor, context_, &when)))
    outcome->auth_time = static_cast<uint32_t>(when);
  outcome->groups = unix_groups::GroupsOf(outcome->local_name.empty() ? outcome->principal : outcome->local_name);
}
