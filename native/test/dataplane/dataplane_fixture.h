// The server's half of a data-plane test: a TLS context with its key at hand, a packet loop, a tun that is a socket
// pair (so that a test sees every frame as the kernel would), and the UDP dispatch that main does.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/engine.h"
#include "dataplane/own_records.h"
#include "dataplane/shepherd.h"
#include "dataplane/tls_context.h"
#include "dataplane/tls_stream.h"
#include "support/check.h"
#include "support/kernel.h"
#include "support/model.h"

namespace ocvpn::test {

using dataplane::CloseReason;
using dataplane::Counters;
using dataplane::DtlsMode;
using dataplane::Engine;
using dataplane::Event;
using dataplane::EventType;
using dataplane::TunnelHost;
using dataplane::TunnelOptions;

/** Upper bound for anything that a test waits for; reached only by a failure. */
constexpr int kPatienceMs = 20000;

inline bool wait_readable(int fd, int timeout_ms) {
  pollfd waiting{fd, POLLIN, 0};
  return poll(&waiting, 1, timeout_ms) == 1;
}

/** Repeats until `done` or kPatienceMs; the condition is what is waited for, never a time. */
inline bool eventually(const std::function<bool()>& done) {
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

/** A count of the packet loop: it is written after what it counts, which a test may see first. */
#define CHECK_COUNTED(counter, expected)                               \
  do {                                                                 \
    (void)eventually([&] { return (counter).get() == (expected); });   \
    CHECK_EQ((counter).get(), (expected));                             \
  } while (0)

/** Self-signed EC certificate and its key, made once. */
class ServerIdentity {
 public:
  static ServerIdentity& get() {
    static ServerIdentity identity;
    return identity;
  }
  EVP_PKEY* key() { return key_; }
  std::shared_ptr<TlsContext> context(int max_version) {
    TlsContextOptions options;
    options.certificate_chains = {pem_};
    options.max_version = max_version;
    std::string error;
    auto context = TlsContext::create(options, &error);
    if (context == nullptr) fail(__FILE__, __LINE__, error);
    return context;
  }
  /** ECDSA-SHA256 over the message, as secmod makes it for scheme 0x0403. */
  Bytes sign(const uint8_t* data, size_t length) {
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    Bytes signature(256);
    size_t size = signature.size();
    EVP_DigestSignInit(md, nullptr, EVP_sha256(), nullptr, key_);
    if (EVP_DigestSign(md, signature.data(), &size, data, length) != 1) size = 0;
    EVP_MD_CTX_free(md);
    signature.resize(size);
    return signature;
  }

 private:
  ServerIdentity() {
    key_ = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key_);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key_, EVP_sha256());
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, certificate);
    char* text = nullptr;
    long size = BIO_get_mem_data(out, &text);
    pem_.assign(text, static_cast<size_t>(size));
    BIO_free(out);
    X509_free(certificate);
  }
  ~ServerIdentity() { EVP_PKEY_free(key_); }
  EVP_PKEY* key_ = nullptr;
  std::string pem_;
};

/** Our end of a tun: one message is one frame. */
class TestTun {
 public:
  TestTun() {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) std::abort();
    int size = 4 << 20;
    for (int fd : pair) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    near_ = pair[0];
    far_ = pair[1];
  }
  ~TestTun() { remove(); }
  TestTun(const TestTun&) = delete;
  TestTun& operator=(const TestTun&) = delete;

  int far() const { return far_; }
  /** Ends the device while the loop holds its descriptor. */
  void remove() {
    if (near_ >= 0) close(near_);
    near_ = -1;
  }
  /** false: the tun's queue is full. */
  bool offer(const Bytes& frame) { return ::send(near_, frame.data(), frame.size(), MSG_NOSIGNAL) >= 0; }
  void push(const Bytes& frame) {
    if (!eventually([&] { return offer(frame); })) fail(__FILE__, __LINE__, "the loop does not read the tun");
  }
  void push_packet(const Bytes& packet) { push(concat(Bytes(10), packet)); }
  /** A frame that the loop wrote; empty after `timeout_ms` without one. */
  Bytes pop(int timeout_ms = kPatienceMs) {
    Bytes frame(70000);
    if (!wait_readable(near_, timeout_ms)) return {};
    ssize_t got = recv(near_, frame.data(), frame.size(), 0);
    frame.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return frame;
  }
  /** Packet of a frame without offload. */
  Bytes pop_packet(int timeout_ms = kPatienceMs) {
    Bytes frame = pop(timeout_ms);
    return frame.size() < 10 ? Bytes() : Bytes(frame.begin() + 10, frame.end());
  }

 private:
  int near_;
  int far_;
};

/** TCP connection over loopback. */
struct TcpPair {
  int server = -1;
  int client = -1;
  TcpPair() {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener, 1);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
    server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    fcntl(client, F_SETFL, O_NONBLOCK);
    close(listener);
  }
};

/** The UDP port of the server: hands the first datagram of each source to the loop, as main does. */
class UdpPort {
 public:
  UdpPort() {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    bind(fd_, reinterpret_cast<sockaddr*>(&address_), size);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size);
  }
  ~UdpPort() { close(fd_); }
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  const sockaddr_in& address() const { return address_; }
  int fd() const { return fd_; }
  /** Hands over what waits at the listening socket. Returns how many datagrams. */
  int dispatch(TunnelHost& engine, uint32_t id) {
    int count = 0;
    Bytes datagram(65536);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    ssize_t got;
    while ((got = recvfrom(fd_, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
      engine.attach_udp(id, connected(from), datagram[0] == 22, datagram.data(), static_cast<size_t>(got));
      ++count;
    }
    return count;
  }
  /** Socket on the server's port that only hears `peer`. */
  int connected(const sockaddr_in& peer) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 ||
        connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) {
      fail(__FILE__, __LINE__, "connected UDP socket");
    }
    return fd;
  }

 private:
  int fd_;
  sockaddr_in address_{};
};

/** Options of a tunnel with every offload and no timer. */
inline TunnelOptions plain_options() {
  TunnelOptions options;
  options.tun_vnet_hdr = options.tun_tso = options.tun_uso = true;
  options.data_mtu = 1400;
  options.max_data_mtu = 1434;
  options.dtls.mode = DtlsMode::psk;
  options.dtls.ciphers = "PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305";
  options.offloads.own_records = with_own_records();
  return options;
}

/** What serves the tunnels: OCVPN_TEST_HOST=process for a process each, =template for copies of one, else a thread. */
inline std::string host_kind() {
  const char* host = std::getenv("OCVPN_TEST_HOST");
  return host == nullptr ? "thread" : host;
}
inline bool with_processes() { return host_kind() != "thread"; }

/** As in a worker, whose OpenSSL is ready before: a template and its copies may not open the configuration of OpenSSL. */
inline bool start_template(TunnelHost& host) { return OPENSSL_init_ssl(0, nullptr) == 1 && host.start_template(); }

inline std::unique_ptr<TunnelHost> new_host(uint32_t clock_rate) {
  if (!with_processes()) return Engine::create(clock_rate);
  std::unique_ptr<TunnelHost> host = dataplane::Shepherd::create(clock_rate);
  if (host_kind() == "template" && !start_template(*host)) fail(__FILE__, __LINE__, "no template");
  return host;
}

/** A packet loop with its events. */
class Server {
 public:
  explicit Server(uint32_t clock_rate = 1) : Server(new_host(clock_rate)) {}
  explicit Server(std::unique_ptr<TunnelHost> host) : engine_(std::move(host)) {
    signal(SIGPIPE, SIG_IGN);  // the test client writes to closed connections
  }

  TunnelHost& engine() { return *engine_; }
  UdpPort& udp() { return udp_; }
  void stop() { engine_.reset(); }

  /** The next event of this type; others are kept for later calls. Signature requests are answered. */
  std::optional<Event> event(EventType type, int timeout_ms = kPatienceMs) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
      collect();
      for (auto it = events_.begin(); it != events_.end(); ++it) {
        if (it->type != type) continue;
        Event found = *it;
        events_.erase(it);
        return found;
      }
      if (std::chrono::steady_clock::now() >= end) return std::nullopt;
      wait_readable(engine_->event_fd(), 5);
    }
  }
  bool sign_requests_refused = false;
  int sign_requests = 0;

 private:
  void collect() {
    Event event;
    while (engine_->next_event(&event)) {
      if (event.type == EventType::sign) {
        ++sign_requests;
        Bytes signature = ServerIdentity::get().sign(engine_->event_payload(), event.payload_length);
        engine_->complete_sign(event.id, event.request_id, sign_requests_refused ? nullptr : signature.data(),
                               signature.size());
      }
      events_.push_back(event);
    }
  }

  std::unique_ptr<TunnelHost> engine_;
  UdpPort udp_;
  std::deque<Event> events_;
};

}  // namespace ocvpn::test
