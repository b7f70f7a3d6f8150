// One VPN session: login, CONNECT, and DTLS if the server offers it.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "arguments.h"
#include "channel.h"
#include "dataplane/tls_records.h"
#include "transport.h"

namespace ocvpn::bench {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;
using ContextPtr = std::unique_ptr<SSL_CTX, SslDeleter>;

/** Settings of all sessions of a process. Servers are not verified: this client is for the one next to it. */
struct Contexts {
  ContextPtr tls;
  ContextPtr dtls;
};
/** Throws std::runtime_error when the client certificate cannot be used. */
Contexts make_contexts(const Arguments& arguments);

/** A connected socket to the server; `type`: SOCK_STREAM or SOCK_DGRAM. Throws std::runtime_error. */
io::UniqueFd connect_socket(const std::string& host, const std::string& port, int type);

/** What the server granted (headers of the CONNECT reply). */
struct Grant {
  std::string address;      // X-CSTP-Address
  unsigned mtu = 0;         // X-CSTP-MTU: bytes of inner packet
  std::string dtls_port;    // X-DTLS-Port; empty: no DTLS
  std::string dtls_app_id;  // X-DTLS-App-ID, decoded
};

/** Liveness packets of both channels. */
struct Liveness {
  /** Requests of the server; each was answered. */
  uint32_t asked = 0;
  /** Answers to ours. */
  uint32_t answered = 0;
};

/** Keys of the stream for records that are opened and sealed past the library (own_channels.h). */
struct TlsSecrets {
  TlsDirection in;
  TlsDirection out;
};

/** Transports come before the connections that read and write through them, so that they are destroyed after. */
struct Session {
  std::unique_ptr<Transport> stream;
  SslPtr tls;
  std::unique_ptr<Transport> datagrams;
  SslPtr dtls;
  TlsSecrets secrets;
  std::unique_ptr<Channel> stream_channel;
  std::unique_ptr<Channel> datagram_channel;
  Grant grant;
  Liveness liveness;

  /** Tells the server that the user logs out (CSTP DISCONNECT, reason 0xb0), and closes. */
  void log_out();
};

/** The server does not want this user: trying again changes nothing. */
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** Opens a session. Throws std::runtime_error that says how far it came, Refused among them. */
std::unique_ptr<Session> open_session(const Contexts& contexts, const Arguments& arguments);

/** Bytes in one line for an exception: what the library says went wrong. */
std::string tls_error(const char* what);

}  // namespace ocvpn::bench
