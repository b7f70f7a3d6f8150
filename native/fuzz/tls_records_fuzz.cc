// A client that has the keys sends records of TLS 1.3 of any content to a connection that is past the library: types,
// padding, lengths, KeyUpdates in any number, forged ones. What is delivered is what it sent as data, nothing comes after
// the first record that is refused, and it can open everything that the server says.
#include <openssl/ssl3.h>
#include <unistd.h>

#include <algorithm>

#include "connection.h"

using namespace ocvpn;
using namespace ocvpn::test;

namespace {

constexpr std::size_t kLongest = TlsDirection::kMaxInner + 600;  // beyond what may be in a record

struct Connection {
  TlsBytes saved;
  TlsDirection::State client;  // seals what the client sends
  TlsDirection::State server;  // opens what the server sends
  Sockets sockets{SOCK_STREAM};

  static const Connection& get() {
    static const Connection connection;
    return connection;
  }

 private:
  Connection() {
    TlsPair pair(ec());
    establish(pair);
    client = peer_state("CLIENT_TRAFFIC_SECRET_0", pair.client(), true);
    saved = pair.server().save();
    server = peer_state("SERVER_TRAFFIC_SECRET_0", pair.client(), false);
    server.found = 0;  // the tickets of the handshake took the first numbers
  }
};

/** Both ends of one connection while an input runs. */
class Attack {
 public:
  explicit Attack(const uint8_t* data, std::size_t size) : input_(data, size) {
    const Connection& connection = Connection::get();
    stream_ = TlsStream::restore(dup(connection.sockets.ends[0]), connection.saved.data(), connection.saved.size());
    fuzz_require(stream_ != nullptr && sealer_.restore(connection.client, true) && opener_.restore(connection.server, false));
  }

  void run() {
    while (!input_.empty()) step();
    read_all();
    collect_output();
    fuzz_require(received_ <= sent_.size());
    fuzz_require(hostile_ || received_ == sent_.size());
    if (stream_->failed()) fuzz_require(stream_->write(sent_.data(), 1) == TlsStatus::kError);
  }

 private:
  std::size_t u16() {
    const std::size_t high = input_.u8();
    return high << 8 | input_.u8();
  }

  void step() {
    switch (input_.u8() % 8) {
      case 0:
        return send(SSL3_RT_APPLICATION_DATA, u16() % 64 + 1, 0);
      case 1:
        return send_any();
      case 2:
        return send_key_update(input_.u8() & 1);
      case 3:
        return send_forged();
      case 4:
        return read_one(u16() % kLongest + 1);
      case 5:
        return write(u16() % TlsStream::kMaxPlaintext + 1);
      case 6:
        stream_->request_key_update();
        return;
      default:
        stream_->close_notify();
    }
  }

  /** The first bytes of the content come from the input. */
  void send(uint8_t type, std::size_t length, std::size_t padding) {
    TlsBytes content(length);
    const std::size_t chosen = std::min<std::size_t>(length, 8);
    for (std::size_t i = 0; i < chosen; ++i) content[i] = input_.u8();
    TlsBytes record = seal(type, content, padding);
    const bool fits = length + 1 + padding <= TlsDirection::kMaxInner;
    // The one alert that is passed over (RFC 8446 6.1).
    const bool passed_over = fits && type == SSL3_RT_ALERT && length == 2 && content[1] == SSL_AD_USER_CANCELLED;
    const bool data = fits && type == SSL3_RT_APPLICATION_DATA;
    if (data && !hostile_) {
      sent_.insert(sent_.end(), content.begin(), content.end());
      if (length > 0) without_data_ = 0;
    }
    if (!data && !passed_over) hostile_ = true;
    if (length == 0 || passed_over) count_empty();
    deliver(record);
  }

  void send_any() {
    const uint8_t type = input_.u8();
    const std::size_t length = u16() % kLongest;
    send(type, length, u16() % kLongest);
  }

  void send_key_update(uint8_t request) {
    const auto message = TlsKeyUpdate::message(request);
    deliver(seal(SSL3_RT_HANDSHAKE, TlsBytes(message.begin(), message.end()), 0));
    fuzz_require(sealer_.next_generation());
    count_empty();
  }

  /** One that is sealed and then changed, or only has the header of one. */
  void send_forged() {
    hostile_ = true;
    TlsBytes record = seal(SSL3_RT_APPLICATION_DATA, TlsBytes(u16() % 64), 0);
    const std::size_t at = u16() % record.size();
    record[at] ^= static_cast<uint8_t>(input_.u8() | 1);
    record.resize(record.size() - input_.u8() % record.size());
    deliver(record);
  }

  TlsBytes seal(uint8_t type, TlsBytes inner, std::size_t padding) {
    // As seal() sees it, the last zero of the padding is the type.
    if (padding > 0) {
      inner.push_back(type);
      inner.resize(inner.size() + padding - 1);
      type = 0;
    }
    TlsBytes record(inner.size() + TlsDirection::kOverhead);
    std::copy(inner.begin(), inner.end(), record.begin() + TlsDirection::kHeader);
    fuzz_require(sealer_.seal(type, record.data(), inner.size()));
    return record;
  }

  /** A flood of them is cut off. */
  void count_empty() {
    if (++without_data_ > 32) hostile_ = true;
  }

  void deliver(const TlsBytes& record) {
    for (std::size_t at = 0; at < record.size();) {
      const std::size_t taken = stream_->feed(record.data() + at, record.size() - at);
      at += taken;
      if (taken == 0 && !read_all()) return;
    }
  }

  /** False: nothing will be taken any more. */
  bool read_all() {
    const std::size_t before = stream_->input_room();
    do read_one(TlsStream::kMaxPlaintext);
    while (!ended_ && last_ == TlsStatus::kOk);
    return !ended_ && stream_->input_room() > before;
  }

  void read_one(std::size_t capacity) {
    TlsBytes out(capacity);
    const TlsResult result = stream_->read(out.data(), capacity);
    last_ = result.status;
    if (ended_) return fuzz_require(!stream_->failed() || result.status == TlsStatus::kError);
    ended_ = result.status == TlsStatus::kError || result.status == TlsStatus::kEnd;
    if (ended_) return fuzz_require(hostile_);
    if (result.status != TlsStatus::kOk) return;
    fuzz_require(result.bytes > 0 && result.bytes <= TlsStream::kMaxPlaintext);
    fuzz_require(result.bytes <= sent_.size() - received_);
    fuzz_require(std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(result.bytes),
                            sent_.begin() + static_cast<std::ptrdiff_t>(received_)));
    received_ += result.bytes;
  }

  void write(std::size_t length) {
    const TlsBytes data(length, 'x');
    stream_->write(data.data(), length);
    collect_output();
  }

  /** Everything opens under the keys that the client has of the server. */
  void collect_output() {
    uint8_t buffer[65536];
    for (ssize_t got = 1; got > 0;) {
      fuzz_require(stream_->failed() || stream_->flush().status != TlsStatus::kError);
      if (stream_->failed()) stream_->flush();
      got = recv(Connection::get().sockets.ends[1], buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) output_.insert(output_.end(), buffer, buffer + got);
    }
    std::size_t at = 0;
    while (output_.size() - at >= TlsDirection::kHeader) {
      const std::size_t length = TlsDirection::kHeader + static_cast<std::size_t>(output_[at + 3] << 8 | output_[at + 4]);
      if (length > output_.size() - at) break;
      open(output_.data() + at, length);
      at += length;
    }
    fuzz_require(at == output_.size());
    output_.clear();
  }

  void open(const uint8_t* record, std::size_t length) {
    fuzz_require(opener_.active() || opener_.seek(record, length));
    TlsBytes plaintext(length);
    uint8_t type = 0;
    const int bytes = opener_.open(record, length, plaintext.data(), &type);
    fuzz_require(bytes > 0 && (type == SSL3_RT_APPLICATION_DATA || type == SSL3_RT_ALERT || type == SSL3_RT_HANDSHAKE));
    uint8_t request = 0;
    if (type != SSL3_RT_HANDSHAKE) return;
    fuzz_require(TlsKeyUpdate::parse(plaintext.data(), static_cast<std::size_t>(bytes), &request));
    fuzz_require(opener_.next_generation());
  }

  FuzzInput input_;
  std::unique_ptr<TlsStream> stream_;
  TlsDirection sealer_;
  TlsDirection opener_;
  TlsBytes sent_;
  std::size_t received_ = 0;
  TlsBytes output_;
  std::size_t without_data_ = 0;
  TlsStatus last_ = TlsStatus::kOk;
  bool hostile_ = false;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Attack(data, std::min<size_t>(size, 512)).run();
  return 0;
}
