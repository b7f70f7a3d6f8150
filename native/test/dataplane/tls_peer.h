// Both ends of a TLS connection in one thread: a TlsStream whose keys are local to the test, and a plain OpenSSL client.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/own_records.h"
#include "dataplane/tls_stream.h"

namespace ocvpn::test {

using TlsBytes = std::vector<uint8_t>;

/** A key with its self-signed certificate: "RSA", "EC" (P-256) or "ED25519". */
class Identity {
 public:
  explicit Identity(const char* type);
  ~Identity();
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  const std::string& pem() const { return pem_; }
  EVP_PKEY* key() const { return key_; }
  /** What secmod answers to a request. */
  TlsBytes sign(const SignRequest& request) const;

 private:
  EVP_PKEY* key_ = nullptr;
  std::string pem_;
};

/** Context with one chain and today's defaults, limited to `max_version`. */
std::shared_ptr<TlsContext> context_of(const Identity& identity, int max_version = TLS1_3_VERSION);

class TlsPair {
 public:
  explicit TlsPair(const Identity& identity, int max_version = TLS1_3_VERSION);
  ~TlsPair();
  TlsPair(const TlsPair&) = delete;
  TlsPair& operator=(const TlsPair&) = delete;

  TlsStream& server() { return *server_; }
  SSL* client() { return client_; }
  int client_fd() const { return client_fd_; }
  std::unique_ptr<TlsStream> take_server() { return std::move(server_); }

  /** Whether handshake() ends with use_own_records(); OCVPN_TEST_RECORDS=library: no. */
  bool own_records = with_own_records();

  /** Runs both until the handshake is complete on both sides; false when one failed or nothing moves any more. */
  bool handshake();
  /** Runs both until the server's handshake wants a signature. */
  bool run_to_signature();
  /** Answers the server's request. */
  bool answer();
  /** One attempt of the client to get on with its handshake; true when that is complete. */
  bool client_step();
  /** Everything that the client has sent so far, into the server's input buffer. */
  void server_receive();
  /** Next plaintext of the server; signatures are made on the way. */
  TlsResult server_read(TlsBytes* out, std::size_t capacity = TlsStream::kMaxPlaintext);
  /** One SSL_read of the client: one record. Empty: nothing there. */
  TlsBytes client_read();
  bool client_write(const TlsBytes& data);

 private:
  const Identity& identity_;
  SSL_CTX* client_context_ = nullptr;
  SSL* client_ = nullptr;
  int client_fd_ = -1;
  std::unique_ptr<TlsStream> server_;
};

/** A key and certificate for all tests of a program. */
const Identity& ec();
TlsBytes text(const char* value);
/** The client's view of the exporter. */
TlsBytes client_psk(SSL* client);

}  // namespace ocvpn::test
