#include "http.h"

#include <strings.h>

#include <stdexcept>

namespace ocvpn::bench {

namespace {

constexpr size_t kMaxReply = 256 * 1024;

void read_more(SSL* tls, std::string* text) {
  char chunk[16384];
  const int got = SSL_read(tls, chunk, sizeof chunk);
  if (got <= 0) {
    if (SSL_get_error(tls, got) == SSL_ERROR_WANT_READ) return;
    throw std::runtime_error("the server closed the connection during the login");
  }
  text->append(chunk, static_cast<size_t>(got));
  if (text->size() > kMaxReply) throw std::runtime_error("reply larger than 256 KiB");
}

void parse_head(const std::string& head, HttpReply* reply) {
  if (head.compare(0, 7, "HTTP/1.") != 0 || head.size() < 12) throw std::runtime_error("no HTTP reply");
  reply->status = std::stoi(head.substr(9, 3));
  for (size_t start = head.find("\r\n"); start != std::string::npos;) {
    start += 2;
    const size_t end = head.find("\r\n", start);
    const std::string line = head.substr(start, end == std::string::npos ? end : end - start);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) reply->headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    start = end;
  }
}

size_t content_length(const HttpReply& reply) {
  for (const auto& [name, value] : reply.headers)
    if (strcasecmp(name.c_str(), "content-length") == 0) return std::stoul(value);
  return 0;
}

}  // namespace

const std::string* HttpReply::header(const std::string& name) const {
  for (const auto& [found, value] : headers)
    if (found == name) return &value;
  return nullptr;
}

std::string HttpReply::cookie(const std::string& name) const {
  for (const auto& [found, value] : headers) {
    if (found != "Set-Cookie" || value.compare(0, name.size() + 1, name + "=") != 0) continue;
    const size_t start = name.size() + 1;
    return value.substr(start, value.find(';') - start);
  }
  return "";
}

void send_request(SSL* tls, const std::string& request) {
  if (SSL_write(tls, request.data(), static_cast<int>(request.size())) <= 0)
    throw std::runtime_error("the request could not be sent");
  BIO_flush(SSL_get_wbio(tls));
}

HttpReply read_reply(SSL* tls, bool has_body) {
  std::string text;
  size_t end;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) read_more(tls, &text);
  HttpReply reply;
  parse_head(text.substr(0, end), &reply);
  const size_t length = has_body ? content_length(reply) : 0;
  if (length > kMaxReply) throw std::runtime_error("reply larger than 256 KiB");
  while (text.size() < end + 4 + length) read_more(tls, &text);
  reply.body = text.substr(end + 4, length);
  return reply;
}

}  // namespace ocvpn::bench
