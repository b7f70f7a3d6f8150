// The little HTTP that a login needs.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <utility>
#include <vector>

namespace ocvpn::bench {

struct HttpReply {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  /** Value of the first header of that exact name; nullptr if there is none. */
  const std::string* header(const std::string& name) const;
  /** Value of a cookie that the reply sets; empty if none. */
  std::string cookie(const std::string& name) const;
};

/** Sends a request, whole. Throws std::runtime_error. */
void send_request(SSL* tls, const std::string& request);

/** Reads one reply with its body by Content-Length; none for CONNECT. Throws std::runtime_error. */
HttpReply read_reply(SSL* tls, bool has_body);

}  // namespace ocvpn::bench
