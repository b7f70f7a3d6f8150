// What a handshake has negotiated, in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ocvpn {

class TlsStream;

struct TlsFacts {
  /// 'TLSv1.3'
  std::string version;
  /// OpenSSL's name of the suite.
  std::string cipher;
  /// OpenSSL's name of the key exchange group, '' if none.
  std::string group;
  /// SignatureScheme of our signature, 0 if none was made.
  std::uint16_t signature_scheme = 0;
  /// See TlsStream::key_index().
  std::uint32_t key_index = 0;
  std::string server_name;
  std::string vhost;
  bool resumed = false;
  /// RFC 5746.
  bool secure_renegotiation = false;
  /// DER of the client's verified certificate, else empty.
  std::vector<std::uint8_t> peer_certificate;
  /// Why a certificate that was sent did not verify, else ''.
  std::string verify_error;
};

TlsFacts tls_facts(const TlsStream& stream);

}  // namespace ocvpn
