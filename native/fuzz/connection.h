// One connection for the targets: it has just been taken over from the library, as TlsStream::save() gives it.
#pragma once

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <string>

#include "dataplane/tls_peer.h"
#include "support/fuzz.h"

namespace ocvpn::test {

/** What the client notes of its keys, line by line. */
inline std::vector<std::string>& key_log() {
  static std::vector<std::string> lines;
  return lines;
}

/** A direction of TLS 1.3 as its peer has it: `label` names the secret in the log of keys. */
inline TlsDirection::State peer_state(const char* label, SSL* client, bool seal) {
  TlsDirection direction;
  bool known = false;
  for (const std::string& line : key_log()) known = known || direction.note_secret(line.c_str(), label);
  fuzz_require(known && direction.begin(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(client)), seal));
  TlsDirection::State state = direction.save();
  state.found = 1;
  return state;
}

/** Runs the handshake and lets the server take its records over, of which it then has written one. */
inline void establish(TlsPair& pair) {
  SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(pair.client()),
                              [](const SSL*, const char* line) { key_log().emplace_back(line); });
  pair.own_records = true;
  fuzz_require(pair.handshake());
  fuzz_require(pair.server().write(text("first").data(), 5) == TlsStatus::kOk && pair.server().owns_records());
}

/** Two connected sockets. */
struct Sockets {
  explicit Sockets(int type) { fuzz_require(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0); }
  int ends[2] = {-1, -1};
};

}  // namespace ocvpn::test
