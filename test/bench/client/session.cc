#include "session.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <stdexcept>
#include <system_error>

#include "dtls.h"
#include "http.h"
#include "own_channels.h"
#include "pkt/cstp.h"

namespace ocvpn::bench {

namespace {

/** Init, user name, password, and one more for a server that asks for a group. */
constexpr int kMaxRounds = 4;
constexpr uint8_t kUserDisconnect = 0xb0;
constexpr char kAgent[] = "Open AnyConnect VPN Agent v9.01 (batched)";

struct AddressDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

std::string document(const char* type, const std::string& content) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" type=\"" + std::string(type) +
         "\"><version who=\"vpn\">v9.01</version><device-id>linux-64</device-id>" + content + "</config-auth>\n";
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

std::string post(const Arguments& to, const std::string& path, const std::string& cookie, const std::string& body) {
  std::string text = "POST " + path + " HTTP/1.1\r\nHost: " + to.server + "\r\nUser-Agent: " + kAgent + "\r\n";
  if (!cookie.empty()) text += "Cookie: webvpncontext=" + cookie + "\r\n";
  text += "X-Transcend-Version: 1\r\nX-Aggregate-Auth: 1\r\nContent-Type: application/xml; charset=utf-8\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/** Fills the form that the server shows in. */
std::string answer(const std::string& form, const Arguments& arguments) {
  std::string fields;
  if (form.find("name=\"username\"") != std::string::npos)
    fields += "<username>" + escaped(arguments.user) + "</username>";
  if (form.find("name=\"password\"") != std::string::npos)
    fields += "<password>" + escaped(arguments.password) + "</password>";
  if (fields.empty()) throw std::runtime_error("the server asks for neither user name nor password");
  return document("auth-reply", "<auth>" + fields + "</auth>");
}

/** Logs in; returns the session cookie. */
std::string log_in(SSL* tls, const Arguments& arguments) {
  std::string path = "/";
  std::string context;
  const std::string access = "<group-access>https://" + arguments.server + "/</group-access>";
  std::string body = document("init", access);
  for (int round = 0; round < kMaxRounds; ++round) {
    send_request(tls, post(arguments, path, context, body));
    const HttpReply reply = read_reply(tls, true);
    if (reply.status != 200) throw Refused("login refused with " + std::to_string(reply.status));
    const std::string cookie = reply.cookie("webvpn");
    if (!cookie.empty()) return cookie;
    const std::string fresh = reply.cookie("webvpncontext");
    if (!fresh.empty()) context = fresh;
    body = answer(reply.body, arguments);
    path = "/auth";
  }
  throw Refused("the login did not end: wrong password?");
}

std::string connect_request(const Arguments& arguments, const std::string& cookie) {
  std::string text = "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: " + arguments.server + "\r\nUser-Agent: " + kAgent +
                     "\r\nCookie: webvpn=" + cookie +
                     "\r\nX-CSTP-Version: 1\r\nX-CSTP-Hostname: bench\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-MTU: 1434\r\n"
                     "X-CSTP-Address-Type: IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n";
  if (arguments.dtls) text += "X-DTLS-CipherSuite: PSK-NEGOTIATE\r\n";
  return text + "\r\n";
}

std::string decode_hex(const std::string& hex) {
  std::string bytes;
  if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
    throw std::runtime_error("X-DTLS-App-ID is not hexadecimal");
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

void use_certificate(SSL_CTX* context, const Arguments& arguments) {
  if (SSL_CTX_use_certificate_chain_file(context, arguments.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, arguments.key.c_str(), SSL_FILETYPE_PEM) != 1)
    throw std::runtime_error(tls_error("client certificate"));
}

std::string value(const HttpReply& reply, const char* name) {
  const std::string* found = reply.header(name);
  return found ? *found : "";
}

Grant read_grant(const HttpReply& reply) {
  if (reply.status != 200) throw Refused("CONNECT refused with " + std::to_string(reply.status));
  Grant grant;
  grant.address = value(reply, "X-CSTP-Address");
  const std::string mtu = value(reply, "X-CSTP-MTU");
  if (grant.address.empty() || mtu.empty()) throw std::runtime_error("the server granted no address or no MTU");
  grant.mtu = static_cast<unsigned>(std::stoul(mtu));
  grant.dtls_port = value(reply, "X-DTLS-Port");
  grant.dtls_app_id = decode_hex(value(reply, "X-DTLS-App-ID"));
  return grant;
}

}  // namespace

std::string tls_error(const char* what) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return std::string(what) + ": " + text;
}

Contexts make_contexts(const Arguments& arguments) {
  Contexts made;
  made.tls.reset(SSL_CTX_new(TLS_client_method()));
  if (!made.tls) throw std::runtime_error(tls_error("TLS context"));
  SSL_CTX_set_verify(made.tls.get(), SSL_VERIFY_NONE, nullptr);
  // What the stock client offers: the same exchange with either server (ML-KEM, which OpenSSL 3.5 prefers, is ours alone).
  if (SSL_CTX_set1_groups_list(made.tls.get(), "X25519:P-256:P-384") != 1)
    throw std::runtime_error(tls_error("groups"));
  if (!arguments.certificate.empty()) use_certificate(made.tls.get(), arguments);
  if (arguments.own_records) {
    note_secrets(made.tls.get());
  } else {
    // Many records per receive: the library's own buffer must hold as many as the transport's.
    SSL_CTX_set_read_ahead(made.tls.get(), 1);
    SSL_CTX_set_default_read_buffer_len(made.tls.get(), 65536);
  }
  SSL_CTX_set_mode(made.tls.get(), SSL_MODE_RELEASE_BUFFERS);
  made.dtls = make_dtls_context();
  return made;
}

io::UniqueFd connect_socket(const std::string& host, const std::string& port, int type) {
  addrinfo hints{};
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found))
    throw std::runtime_error(host + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, AddressDeleter> list(found);
  io::UniqueFd fd(socket(found->ai_family, type | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || connect(fd.get(), found->ai_addr, found->ai_addrlen) < 0)
    throw std::system_error(errno, std::generic_category(), "connect to " + host);
  const int on = 1;
  if (type == SOCK_STREAM) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // The kernel may grant less; a burst of 64 KiB must fit.
  const int size = 4 << 20;
  if (type == SOCK_DGRAM) setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  return fd;
}

std::unique_ptr<Session> open_session(const Contexts& contexts, const Arguments& arguments) {
  auto session = std::make_unique<Session>();
  io::UniqueFd fd = connect_socket(arguments.server, arguments.port, SOCK_STREAM);
  session->stream = std::make_unique<Transport>(std::move(fd), Transport::Kind::kStream);
  session->tls.reset(SSL_new(contexts.tls.get()));
  if (!session->tls) throw std::runtime_error(tls_error("TLS connection"));
  BIO* bio = session->stream->make_bio();
  SSL_set_bio(session->tls.get(), bio, bio);
  SSL_set_app_data(session->tls.get(), session.get());
  session->stream->set_waiting(true);
  if (SSL_connect(session->tls.get()) != 1) throw std::runtime_error(tls_error("TLS handshake"));
  const std::string cookie = log_in(session->tls.get(), arguments);
  send_request(session->tls.get(), connect_request(arguments, cookie));
  session->grant = read_grant(read_reply(session->tls.get(), false));
  const bool offered = !session->grant.dtls_port.empty() && !session->grant.dtls_app_id.empty();
  if (arguments.dtls && !offered) throw std::runtime_error("the server offers no DTLS by pre-shared key");
  session->stream_channel = std::make_unique<LibraryChannel>(session->tls.get());
  if (arguments.dtls) {
    open_dtls(contexts.dtls.get(), arguments.server, session.get());
    session->datagram_channel = std::make_unique<LibraryChannel>(session->dtls.get());
  }
  session->stream->set_waiting(false);
  if (arguments.own_records) take_over(session.get());
  return session;
}

void Session::log_out() {
  uint8_t frame[pkt::kCstpHeaderSize + 1];
  pkt::write_cstp_header({frame, sizeof frame}, pkt::PacketType::kDisconnect, 1);
  frame[pkt::kCstpHeaderSize] = kUserDisconnect;
  stream_channel->write(frame, sizeof frame);
  stream_channel->close();
  stream->flush();
}

}  // namespace ocvpn::bench
