// What own_channels.h does with records that are forged, repeated or of other keys, against OpenSSL's and the addon's
// ends of the same connections. Ends with 1 and says what is wrong.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "addon.h"
#include "dataplane/dtls_epoch.h"
#include "dtls.h"
#include "own_channels.h"

namespace {

using namespace ocvpn;

constexpr size_t kCapacity = 16640;
constexpr int kWaitMs = 10000;

void check(bool right, const char* what) {
  if (!right) throw std::runtime_error(what);
}

/** The key of make_dtls_context() before any login. */
unsigned int server_key(SSL*, const char*, unsigned char* key, unsigned int) {
  std::memset(key, 0, 32);
  return 32;
}

unsigned int client_key(SSL*, const char*, char* identity, unsigned int, unsigned char* key, unsigned int) {
  std::memcpy(identity, "psk", sizeof "psk");
  return server_key(nullptr, nullptr, key, 32);
}

/** Shakes hands; `server` reads and writes `bio`, which it owns then, the client its transport. */
void shake_hands(SSL* client, bench::Transport* transport, SSL* server, BIO* bio) {
  SSL_set_bio(server, bio, bio);
  int accepted = 0;
  std::thread other([&] { accepted = SSL_accept(server); });
  BIO* ours = transport->make_bio();
  SSL_set_bio(client, ours, ours);
  transport->set_waiting(true);
  const int connected = SSL_connect(client);
  transport->set_waiting(false);
  other.join();
  check(connected == 1 && accepted == 1, "handshake");
}

/** UDP sockets on the loopback that are connected to each other. */
void open_pair(int fds[2]) {
  sockaddr_in addresses[2]{};
  for (int i = 0; i < 2; ++i) {
    socklen_t size = sizeof addresses[i];
    addresses[i].sin_family = AF_INET;
    addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    auto* address = reinterpret_cast<sockaddr*>(&addresses[i]);
    check(bind(fds[i], address, size) == 0 && getsockname(fds[i], address, &size) == 0, "bind");
  }
  for (int i = 0; i < 2; ++i)
    check(connect(fds[i], reinterpret_cast<sockaddr*>(&addresses[1 - i]), sizeof addresses[0]) == 0, "connect");
}

/** What the client reads next once something has arrived: "" nothing, "end" the end. */
std::string arrived(bench::Channel& channel, bench::Transport& transport, bool wait = true) {
  std::vector<uint8_t> room(kCapacity);
  int got = channel.read(room.data(), room.size());
  while (got == 0 && wait && bench::wait_for(transport.fd(), POLLIN, kWaitMs)) {
    wait = transport.fill() == bench::Transport::Fill::kEmpty;
    got = channel.read(room.data(), room.size());
  }
  return got < 0 ? "end" : std::string(room.begin(), room.begin() + got);
}

std::string read_at(SSL* server) {
  char text[256];
  const int got = SSL_read(server, text, sizeof text);
  return got > 0 ? std::string(text, static_cast<size_t>(got)) : "end";
}

void say(bench::Channel& channel, bench::Transport& transport, const std::string& text) {
  check(channel.write(reinterpret_cast<const uint8_t*>(text.data()), text.size()) && transport.flush(), "write");
}

struct Opened {
  bench::Session session;
  bench::ContextPtr tls_context{SSL_CTX_new(TLS_server_method())};
  bench::ContextPtr dtls_context{SSL_CTX_new(DTLS_server_method())};
  bench::Contexts contexts = bench::make_contexts({});
  bench::SslPtr tls;
  bench::SslPtr dtls;
  io::UniqueFd stream;
  io::UniqueFd datagrams;
};

void open_tls(Opened* opened) {
  int fds[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
  bench::Session& session = opened->session;
  session.stream = std::make_unique<bench::Transport>(io::UniqueFd(fds[0]), bench::Transport::Kind::kStream);
  opened->stream = io::UniqueFd(fds[1]);
  SSL_CTX_set_psk_server_callback(opened->tls_context.get(), server_key);
  SSL_CTX_set_ciphersuites(opened->tls_context.get(), "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set_psk_client_callback(opened->contexts.tls.get(), client_key);
  opened->tls.reset(SSL_new(opened->tls_context.get()));
  session.tls.reset(SSL_new(opened->contexts.tls.get()));
  SSL_set_app_data(session.tls.get(), &session);
  shake_hands(session.tls.get(), session.stream.get(), opened->tls.get(), BIO_new_socket(fds[1], BIO_NOCLOSE));
  session.stream_channel = std::make_unique<bench::LibraryChannel>(session.tls.get());
}

void open_dtls(Opened* opened) {
  int fds[2];
  open_pair(fds);
  bench::Session& session = opened->session;
  session.datagrams = std::make_unique<bench::Transport>(io::UniqueFd(fds[0]), bench::Transport::Kind::kDatagram);
  opened->datagrams = io::UniqueFd(fds[1]);
  SSL_CTX_set_psk_server_callback(opened->dtls_context.get(), server_key);
  opened->dtls.reset(SSL_new(opened->dtls_context.get()));
  session.dtls.reset(SSL_new(opened->contexts.dtls.get()));
  SSL_set_mtu(session.dtls.get(), 1500);
  shake_hands(session.dtls.get(), session.datagrams.get(), opened->dtls.get(), BIO_new_dgram(fds[1], BIO_NOCLOSE));
  session.datagram_channel = std::make_unique<bench::LibraryChannel>(session.dtls.get());
}

void check_tls(Opened& opened) {
  bench::Channel& channel = *opened.session.stream_channel;
  bench::Transport& transport = *opened.session.stream;
  SSL* server = opened.tls.get();
  check(channel.own() && read_at(server).size() == pkt::kCstpHeaderSize, "TLS is taken over with a KEEPALIVE");
  say(channel, transport, "up");
  check(read_at(server) == "up", "TLS, up");
  SSL_write(server, "down", 4);
  check(arrived(channel, transport) == "down", "TLS, down, behind the server's tickets");
  SSL_key_update(server, SSL_KEY_UPDATE_REQUESTED);
  SSL_write(server, "new", 3);
  check(arrived(channel, transport) == "new", "the server's keys after a KeyUpdate");
  say(channel, transport, "newer");
  check(read_at(server) == "newer" && SSL_get_error(server, 1) == SSL_ERROR_NONE, "the client's after one on request");
  channel.close();
  transport.flush();
  check(read_at(server) == "end" && SSL_get_shutdown(server) == SSL_RECEIVED_SHUTDOWN, "close_notify");
  uint8_t forged[40] = {SSL3_RT_APPLICATION_DATA, 3, 3, 0, sizeof forged - TlsDirection::kHeader};
  check(send(opened.stream.get(), forged, sizeof forged, 0) == sizeof forged, "send");
  check(arrived(channel, transport) == "end", "a forged TLS record ends the connection");
}

void check_dtls(Opened& opened) {
  bench::Channel& channel = *opened.session.datagram_channel;
  bench::Transport& transport = *opened.session.datagrams;
  SSL* server = opened.dtls.get();
  check(channel.own() && read_at(server).size() == pkt::kDtlsTypeSize, "DTLS is taken over with a KEEPALIVE");
  say(channel, transport, "up");
  check(read_at(server) == "up", "DTLS, up");
  SSL_write(server, "down", 4);
  check(arrived(channel, transport) == "down", "DTLS, down");

  const auto epoch = dataplane::DtlsEpoch::begin(server, 1, 100);
  check(epoch != nullptr, "the addon's end of the epoch");
  const auto sealed = [&](const std::string& text) {
    std::string record(text.size() + dataplane::DtlsEpoch::kOverhead, '\0');
    const auto* data = reinterpret_cast<const uint8_t*>(text.data());
    epoch->seal(SSL3_RT_APPLICATION_DATA, data, text.size(), reinterpret_cast<uint8_t*>(record.data()));
    return record;
  };
  const auto datagram = [&](const std::string& bytes) {
    check(send(opened.datagrams.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "send");
  };
  const std::string once = sealed("once");
  datagram(once);
  check(arrived(channel, transport) == "once", "a record of the addon");
  datagram(once);
  check(arrived(channel, transport).empty(), "a repeated record is dropped");
  std::string forged = sealed("forged");
  forged.back() ^= 1;
  datagram(forged);
  check(arrived(channel, transport).empty(), "a forged record is dropped");
  datagram(std::string("\x17\xfe\xfd", 3));
  check(arrived(channel, transport).empty(), "a cut record is dropped");
  datagram(sealed("two") + sealed("in one"));
  check(arrived(channel, transport) == "two" && arrived(channel, transport, false) == "in one", "two in one datagram");
  SSL_shutdown(server);
  check(arrived(channel, transport) == "end", "the server's alert ends the association");
}

}  // namespace

int ocvpn::bench::run(int, char**) {
  try {
    Opened opened;
    open_tls(&opened);
    open_dtls(&opened);
    bench::take_over(&opened.session);
    check_tls(opened);
    check_dtls(opened);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_channels_check: %s\n", error.what());
    return 1;
  }
}
