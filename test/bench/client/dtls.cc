#include "dtls.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>
#include <cstring>
#include <stdexcept>

namespace ocvpn::bench {

namespace {

constexpr char kExporterLabel[] = "EXPORTER-openconnect-psk";
constexpr size_t kKeySize = 32;
constexpr auto kHandshakeTime = std::chrono::seconds(12);
/** Largest datagram, bytes; the tunnel's own MTU is what bounds data. */
constexpr long kDatagramMtu = 1500;

/** The key of the session whose handshake runs; each thread opens one at a time. */
thread_local unsigned char handshake_key[kKeySize];

unsigned int give_key(SSL*, const char*, char* identity, unsigned int identity_size, unsigned char* key,
                      unsigned int key_size) {
  if (identity_size < sizeof "psk" || key_size < kKeySize) return 0;
  std::memcpy(identity, "psk", sizeof "psk");
  std::memcpy(key, handshake_key, kKeySize);
  return kKeySize;
}

struct SessionDeleter {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

/** Makes the ClientHello carry the app id: a session to resume with that id, which the server does not know. */
void set_app_id(SSL* dtls, const std::string& app_id) {
  std::unique_ptr<SSL_SESSION, SessionDeleter> made(SSL_SESSION_new());
  const unsigned char secret[48] = {};
  const SSL_CIPHER* suite = sk_SSL_CIPHER_value(SSL_get_ciphers(dtls), 0);
  const auto* id = reinterpret_cast<const unsigned char*>(app_id.data());
  if (!made || !suite || !SSL_SESSION_set_protocol_version(made.get(), DTLS1_2_VERSION) ||
      !SSL_SESSION_set_cipher(made.get(), suite) || !SSL_SESSION_set1_master_key(made.get(), secret, sizeof secret) ||
      !SSL_SESSION_set1_id(made.get(), id, static_cast<unsigned>(app_id.size())) || !SSL_set_session(dtls, made.get()))
    throw std::runtime_error(tls_error("the app id cannot be put into the ClientHello"));
}

void shake_hands(SSL* dtls, Transport* transport) {
  const auto end = std::chrono::steady_clock::now() + kHandshakeTime;
  for (int result; (result = SSL_connect(dtls)) != 1;) {
    if (SSL_get_error(dtls, result) != SSL_ERROR_WANT_READ) throw std::runtime_error(tls_error("DTLS handshake"));
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the server did not answer over UDP");
    timeval left{1, 0};
    if (!DTLSv1_get_timeout(dtls, &left)) left = {1, 0};
    const int timeout_ms = static_cast<int>(left.tv_sec * 1000 + left.tv_usec / 1000 + 1);
    if (wait_for(transport->fd(), POLLIN, timeout_ms)) transport->fill();
    else if (DTLSv1_handle_timeout(dtls) < 0) throw std::runtime_error(tls_error("DTLS retransmission"));
  }
}

}  // namespace

ContextPtr make_dtls_context() {
  ContextPtr context(SSL_CTX_new(DTLS_client_method()));
  if (!context || !SSL_CTX_set_min_proto_version(context.get(), DTLS1_2_VERSION) ||
      !SSL_CTX_set_cipher_list(context.get(), "PSK-AES256-GCM-SHA384"))
    throw std::runtime_error(tls_error("DTLS context"));
  SSL_CTX_set_psk_client_callback(context.get(), give_key);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_QUERY_MTU | SSL_OP_NO_ENCRYPT_THEN_MAC);
  return context;
}

void open_dtls(SSL_CTX* context, const std::string& server, Session* session) {
  if (SSL_export_keying_material(session->tls.get(), handshake_key, kKeySize, kExporterLabel, sizeof kExporterLabel - 1,
                                 nullptr, 0, 0) != 1)
    throw std::runtime_error(tls_error("key export"));
  io::UniqueFd fd = connect_socket(server, session->grant.dtls_port, SOCK_DGRAM);
  session->datagrams = std::make_unique<Transport>(std::move(fd), Transport::Kind::kDatagram);
  session->dtls.reset(SSL_new(context));
  if (!session->dtls) throw std::runtime_error(tls_error("DTLS connection"));
  BIO* bio = session->datagrams->make_bio();
  SSL_set_bio(session->dtls.get(), bio, bio);
  SSL_set_mtu(session->dtls.get(), kDatagramMtu);
  set_app_id(session->dtls.get(), session->grant.dtls_app_id);
  shake_hands(session->dtls.get(), session->datagrams.get());
}

}  // namespace ocvpn::bench
