// DTLS 1.2 with the pre-shared key of the TLS connection (PSK-NEGOTIATE).
#pragma once

#include <string>

#include "session.h"

namespace ocvpn::bench {

/** A context for DTLS clients with TLS_PSK_WITH_AES_256_GCM_SHA384, the suite that the stock client negotiates. */
ContextPtr make_dtls_context();

/** Opens DTLS beside the session's TLS. Throws std::runtime_error after 12 s without an answer. */
void open_dtls(SSL_CTX* context, const std::string& server, Session* session);

}  // namespace ocvpn::bench
