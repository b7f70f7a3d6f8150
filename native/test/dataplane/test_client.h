// The client's half of a data-plane test: CSTP over TLS and DTLS 1.2 (PSK or resumed), packet by packet. It sees and
// can repeat the raw datagrams.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>

#include "dataplane/dataplane_fixture.h"

namespace ocvpn::test {

// Packet types (protocol.md 7), written out so that the test does not share the server's table.
constexpr uint8_t kData = 0, kDpdOut = 3, kDpdResp = 4, kDisconnect = 5, kKeepalive = 7, kCompressed = 8, kTerminate = 9;

struct Packet {
  int type = -1;  // -1: nothing came, -2: the peer closed TLS, -3: the connection is gone
  Bytes payload;
};

inline Bytes cstp(uint8_t type, const Bytes& payload) {
  Bytes frame = {'S', 'T', 'F', 1, static_cast<uint8_t>(payload.size() >> 8), static_cast<uint8_t>(payload.size()),
                 type, 0};
  return concat(frame, payload);
}

class DtlsClient {
 public:
  explicit DtlsClient(const sockaddr_in& server) : server_(server) { open_socket(); }
  ~DtlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  DtlsClient(const DtlsClient&) = delete;
  DtlsClient& operator=(const DtlsClient&) = delete;

  void use_psk(const Bytes& key, const char* ciphers = "PSK-AES256-GCM-SHA384") {
    psk_ = key;
    prepare(ciphers);
    SSL_set_psk_client_callback(ssl_, give_psk);
  }
  void use_session(const Bytes& master_secret, const Bytes& id, const char* cipher) {
    prepare(cipher);
    SSL_SESSION* session = SSL_SESSION_new();
    SSL_SESSION_set_protocol_version(session, DTLS1_2_VERSION);
    STACK_OF(SSL_CIPHER)* known = SSL_get_ciphers(ssl_);
    for (int i = 0; i < sk_SSL_CIPHER_num(known); ++i) {
      const SSL_CIPHER* candidate = sk_SSL_CIPHER_value(known, i);
      if (std::strcmp(SSL_CIPHER_get_name(candidate), cipher) == 0) SSL_SESSION_set_cipher(session, candidate);
    }
    SSL_SESSION_set1_id(session, id.data(), static_cast<unsigned>(id.size()));
    SSL_SESSION_set1_master_key(session, master_secret.data(), master_secret.size());
    SSL_set_session(ssl_, session);
    SSL_SESSION_free(session);
  }
  /** A fresh association from the same address. */
  void restart(const Bytes& key) {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    use_psk(key);
  }
  /** Another local address, as after a change of the NAT mapping. */
  void move() {
    close(fd_);
    open_socket();
  }

  /** One step of the handshake: sends what it has, takes what came. true: complete. */
  bool step() {
    int result = SSL_do_handshake(ssl_);
    flush();
    if (result == 1) return true;
    int error = SSL_get_error(ssl_, result);
    if (error != SSL_ERROR_WANT_READ) {
      failed = true;
      return false;
    }
    if (!take_datagram(20)) DTLSv1_handle_timeout(ssl_), flush();
    return SSL_is_init_finished(ssl_) == 1;
  }
  bool send(uint8_t type, const Bytes& payload) {
    Bytes record = concat({type}, payload);
    bool done = SSL_write(ssl_, record.data(), static_cast<int>(record.size())) > 0;
    flush();
    return done;
  }
  /** A record as send() makes it, which goes nowhere. */
  Bytes record(uint8_t type, const Bytes& payload) {
    Bytes plain = concat({type}, payload);
    SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
    return take_output();
  }
  Packet receive(int timeout_ms = kPatienceMs) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
      Bytes record(17000);
      int got = SSL_read(ssl_, record.data(), static_cast<int>(record.size()));
      flush();
      if (got > 0) return {record[0], Bytes(record.begin() + 1, record.begin() + got)};
      int error = SSL_get_error(ssl_, got);
      if (error == SSL_ERROR_ZERO_RETURN) return {-2, {}};
      if (error != SSL_ERROR_WANT_READ) return {-3, {}};
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0) return {};
      take_datagram(static_cast<int>(left));
    }
  }
  void send_raw(const Bytes& datagram) {
    ::sendto(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&server_),
             sizeof server_);
  }
  void shutdown() {
    SSL_shutdown(ssl_);
    flush();
  }
  bool resumed() const { return SSL_session_reused(ssl_) == 1; }
  bool renegotiate() { return SSL_renegotiate(ssl_) == 1; }
  SSL* ssl() { return ssl_; }

  /** All datagrams that were sent. */
  std::vector<Bytes> sent;
  bool failed = false;
  /** Datagrams that it will lose. */
  int deaf_for = 0;
  /** Loses the next datagram that begins with a ChangeCipherSpec. */
  bool loses_change_cipher_spec = false;

 private:
  static unsigned give_psk(SSL* ssl, const char*, char* identity, unsigned capacity, unsigned char* out, unsigned) {
    auto* self = static_cast<DtlsClient*>(SSL_get_app_data(ssl));
    std::snprintf(identity, capacity, "psk");
    std::memcpy(out, self->psk_.data(), self->psk_.size());
    return static_cast<unsigned>(self->psk_.size());
  }
  void open_socket() {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    int size = 8 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  }
  void prepare(const char* ciphers) {
    context_ = SSL_CTX_new(DTLS_client_method());
    SSL_CTX_set_max_proto_version(context_, DTLS1_2_VERSION);
    SSL_CTX_set_security_level(context_, 0);
    SSL_CTX_set_cipher_list(context_, ciphers);
    SSL_CTX_set_options(context_, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
    ssl_ = SSL_new(context_);
    SSL_set_app_data(ssl_, this);
    SSL_set_mtu(ssl_, 1200);
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_), -1);
    SSL_set_connect_state(ssl_);
  }
  void flush() {
    Bytes output = take_output();
    if (output.empty()) return;
    sent.push_back(output);
    send_raw(output);
  }
  Bytes take_output() {
    char* data = nullptr;
    long size = BIO_get_mem_data(SSL_get_wbio(ssl_), &data);
    Bytes output(data, data + std::max(0L, size));
    (void)BIO_reset(SSL_get_wbio(ssl_));
    return output;
  }
  bool take_datagram(int timeout_ms) {
    if (!wait_readable(fd_, timeout_ms)) return false;
    uint8_t datagram[65536];
    ssize_t got = recv(fd_, datagram, sizeof datagram, 0);
    if (deaf_for > 0 && got > 0) return --deaf_for, false;
    if (loses_change_cipher_spec && got > 0 && datagram[0] == 20) return loses_change_cipher_spec = false;
    if (got > 0) BIO_write(SSL_get_rbio(ssl_), datagram, static_cast<int>(got));
    return got > 0;
  }

  sockaddr_in server_;
  int fd_ = -1;
  Bytes psk_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
};

/** A tunnel from end to end: TLS handshake, open(), and DTLS when it is asked for. */
class Tunnel {
 public:
  explicit Tunnel(Server& server, TunnelOptions options = plain_options(), Bytes head = {},
                  int tls_version = TLS1_3_VERSION)
      : server_(server) {
    auto stream = handshake(tls_version);
    if (stream == nullptr) return;
    uint8_t key[32];
    stream->export_dtls_psk(key);
    psk.assign(key, key + 32);
    options.tun_fd = tun.far();
    const char* reply = "HTTP/1.1 200 CONNECTED\r\n\r\n";
    id = server.engine().open(std::move(stream), Bytes(reply, reply + std::strlen(reply)), std::move(head),
                              std::move(options));
    Bytes got = read_record(kPatienceMs);
    response.assign(got.begin(), got.end());
  }
  ~Tunnel() {
    dtls.reset();
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    if (fd_ >= 0) close(fd_);
  }
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  bool send(uint8_t type, const Bytes& payload) { return send_raw(cstp(type, payload)); }
  bool send_raw(const Bytes& record) {
    return eventually([&] { return SSL_write(ssl_, record.data(), static_cast<int>(record.size())) > 0; });
  }
  Packet receive(int timeout_ms = kPatienceMs) {
    Bytes record = read_record(timeout_ms);
    if (record.empty()) return {end_, {}};
    bool whole = record.size() >= 8 && std::memcmp(record.data(), "STF\1", 4) == 0 &&
                 (record[4] << 8 | record[5]) == static_cast<int>(record.size()) - 8 && record[7] == 0;
    if (!whole) fail(__FILE__, __LINE__, "a TLS record is not exactly one CSTP packet: " + show(record));
    return {record[6], Bytes(record.begin() + 8, record.end())};
  }
  /** Waits for the end of the connection: -2 close_notify, -3 no farewell. */
  int wait_end() {
    Packet packet;
    do packet = receive();
    while (packet.type >= 0);
    return packet.type;
  }
  /** DTLS handshake to the end, in step with the dispatcher. */
  bool start_dtls(const char* ciphers = "PSK-AES256-GCM-SHA384") {
    dtls = std::make_unique<DtlsClient>(server_.udp().address());
    dtls->use_psk(psk, ciphers);
    return finish_dtls(*dtls) && server_.event(EventType::dtls_up).has_value();
  }
  bool finish_dtls(DtlsClient& client) {
    return eventually([&] {
      bool done = client.step();
      server_.udp().dispatch(server_.engine(), id);
      return done || client.failed;
    }) && !client.failed;
  }
  const Counters& counters() { return *server_.engine().counters(id); }
  SSL* ssl() { return ssl_; }
  int fd() const { return fd_; }

  TestTun tun;
  Bytes psk;
  uint32_t id = 0;
  std::string response;
  std::unique_ptr<DtlsClient> dtls;

 private:
  std::unique_ptr<TlsStream> handshake(int version) {
    TcpPair tcp;
    fd_ = tcp.client;
    context_ = SSL_CTX_new(TLS_client_method());
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
    auto stream = TlsStream::accept(ServerIdentity::get().context(version), tcp.server);
    bool client_done = false;
    bool server_done = false;
    bool fine = eventually([&] {
      if (!client_done) client_done = SSL_connect(ssl_) == 1;
      stream->receive();
      TlsStatus status = stream->handshake();
      if (status == TlsStatus::kWantSign) {
        const SignRequest* request = stream->sign_request();
        Bytes signature = ServerIdentity::get().sign(request->data.data(), request->data.size());
        stream->complete_sign(request->id, signature.data(), signature.size());
        status = stream->handshake();
      }
      server_done = status == TlsStatus::kOk;
      stream->flush();
      return (client_done && server_done) || status == TlsStatus::kError;
    });
    if (fine && client_done && server_done) return stream;
    fail(__FILE__, __LINE__, "TLS handshake: " + stream->error());
    return nullptr;
  }
  Bytes read_record(int timeout_ms) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
      Bytes record(17000);
      ERR_clear_error();
      int got = SSL_read(ssl_, record.data(), static_cast<int>(record.size()));
      if (got > 0) return Bytes(record.begin(), record.begin() + got);
      int error = SSL_get_error(ssl_, got);
      end_ = error == SSL_ERROR_ZERO_RETURN ? -2 : -3;
      if (error != SSL_ERROR_WANT_READ) return {};
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      end_ = -1;
      if (left <= 0) return {};
      wait_readable(fd_, static_cast<int>(left));
    }
  }

  Server& server_;
  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  int end_ = -1;
};

/** A UDP or TCP packet of a client to the inside (or back) with `payload` bytes. */
inline Model inner(size_t payload, bool tcp = false, int version = 4) {
  Random random(payload + 1);
  Model model = random_model(random, version, tcp, payload, true);
  model.udp_no_checksum = false;
  return model;
}

}  // namespace ocvpn::test
