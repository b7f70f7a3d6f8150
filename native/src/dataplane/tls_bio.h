// The BIO between OpenSSL and the buffers of a TlsStream.
#pragma once

#include <openssl/bio.h>

namespace ocvpn {

class TlsStream;

/// Reads the stream's input buffer and appends to its output buffer; never blocks on output. null: out of memory.
BIO* new_tls_bio(TlsStream* stream);

}  // namespace ocvpn
