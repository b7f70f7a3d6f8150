// Settings of a TLS server: certificate chains whose private keys are elsewhere, versions, suites, client
// certificates, and the contexts of other server names.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/ocsp_staple.h"
#include "dataplane/ticket_keys.h"

namespace ocvpn {

class TlsStream;

enum class ClientCertificate { kNone, kRequest, kRequire };

struct TlsContextOptions {
  /// PEM, leaf first; position = key_index of the sign requests. At most one per key type (RSA, EC, Ed25519).
  std::vector<std::string> certificate_chains;
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  /// Empty: our defaults.
  std::string cipher_list;
  std::string cipher_suites;
  std::string groups;
  std::string signature_algorithms;
  /// The server's order of suites decides, not the client's.
  bool server_preference = true;
  ClientCertificate client_certificate = ClientCertificate::kNone;
  /// PEM bundle, empty: none.
  std::string ca;
  /// DER, empty: none is stapled.
  std::string ocsp_response;
};

class TlsContext {
 public:
  /// null, and `error` says why in one sentence, when an option is unusable.
  static std::shared_ptr<TlsContext> create(const TlsContextOptions& options, std::string* error);
  /// Whether OpenSSL takes the versions, suites, groups and signature algorithms of `options`; the rest is not looked at.
  static bool check_suites(const TlsContextOptions& options, std::string* error);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// Connections that name `server_name` (case-insensitive) are served by `context` from now on. `context`
  /// must not have server names itself; its own are not looked at.
  void add_server_name(const std::string& server_name, std::shared_ptr<TlsContext> context,
                       const std::string& vhost);

  /// Keys of the session tickets, the newest first (TicketKeys::set); none: every handshake is a full one. They hold for
  /// the connections of the server names of this context too. `lifetime_sec`: how long a session may be resumed.
  bool set_ticket_keys(const std::uint8_t* keys, std::size_t count, std::uint32_t lifetime_sec);
  const TicketKeys* ticket_keys() const { return ticket_keys_.get(); }

  SSL_CTX* ssl_ctx() const { return ssl_ctx_; }

 private:
  struct ServerName {
    std::shared_ptr<TlsContext> context;
    std::string vhost;
  };

  TlsContext() = default;
  bool init(const TlsContextOptions& options, std::string* error);
  bool open(const TlsContextOptions& options, std::string* error);
  bool add_chain(const std::string& pem, std::uint32_t key_index, std::string* error);
  bool set_suites(std::string* error);
  bool set_client_certificates(std::string* error);
  bool set_ocsp_response(std::string* error);
  bool apply_to(SSL* ssl) const;
  bool resumes(SSL* ssl) const;
  std::uint64_t preference_options() const;
  static int on_client_hello(SSL* ssl, int* alert, void* arg);
  static void on_secret(const SSL* ssl, const char* line);
  static int on_status_request(SSL* ssl, void* arg);

  SSL_CTX* ssl_ctx_ = nullptr;
  TlsContextOptions options_;
  std::unique_ptr<OcspStaple> staple_;
  std::unique_ptr<TicketKeys> ticket_keys_;
  std::vector<std::string> key_types_;
  std::unordered_map<std::string, ServerName> server_names_;
};

}  // namespace ocvpn
