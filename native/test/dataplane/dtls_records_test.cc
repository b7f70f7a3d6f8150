// Data records without the library's record layer: the same bytes, the same refusals, and one row of numbers with what
// the library still writes. Both ends are in this thread; the peer is OpenSSL.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "dataplane/dtls_records.h"
#include "support/check.h"
#include "support/model.h"

using namespace ocvpn::test;
using ocvpn::dataplane::DtlsEpoch;
using ocvpn::dataplane::DtlsRecords;
using ocvpn::pkt::DtlsRecordHeader;

namespace {

constexpr uint8_t kKey[32] = {7};

unsigned server_psk(SSL*, const char*, unsigned char* out, unsigned) {
  std::memcpy(out, kKey, sizeof kKey);
  return sizeof kKey;
}

unsigned client_psk(SSL*, const char*, char* identity, unsigned, unsigned char* out, unsigned) {
  std::snprintf(identity, 4, "psk");
  std::memcpy(out, kKey, sizeof kKey);
  return sizeof kKey;
}

/** One end: an SSL object over memory, a datagram a read. */
class End {
 public:
  End(const SSL_METHOD* method, const char* cipher, bool server) : context_(SSL_CTX_new(method)) {
    SSL_CTX_set_max_proto_version(context_, DTLS1_2_VERSION);
    SSL_CTX_set_security_level(context_, 0);
    SSL_CTX_set_cipher_list(context_, cipher);
    SSL_CTX_set_options(context_, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    if (server) SSL_CTX_set_psk_server_callback(context_, server_psk);
    if (!server) SSL_CTX_set_psk_client_callback(context_, client_psk);
    ssl_ = SSL_new(context_);
    SSL_set_mtu(ssl_, 1400);
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_), -1);
    server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
  }
  ~End() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  SSL* ssl() { return ssl_; }
  void take(const Bytes& datagram) { BIO_write(SSL_get_rbio(ssl_), datagram.data(), static_cast<int>(datagram.size())); }
  /** What it sent since the last call. */
  Bytes output() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_), &data);
    Bytes bytes(data, data + size);
    (void)BIO_reset(SSL_get_wbio(ssl_));
    return bytes;
  }
  Bytes write(const Bytes& plaintext) {
    SSL_write(ssl_, plaintext.data(), static_cast<int>(plaintext.size()));
    return output();
  }
  Bytes read() {
    Bytes plaintext(17000);
    const int got = SSL_read(ssl_, plaintext.data(), static_cast<int>(plaintext.size()));
    plaintext.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return plaintext;
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
};

/** A complete association; the server's data is past the library. */
class Association {
 public:
  explicit Association(const char* cipher = "PSK-AES256-GCM-SHA384")
      : client(DTLS_client_method(), cipher, false), server(DTLS_server_method(), cipher, true) {
    CHECK(handshake());
  }
  bool handshake() {
    for (int i = 0; i < 10; ++i) {
      const bool client_done = SSL_do_handshake(client.ssl()) == 1;
      server.take(client.output());
      const bool server_done = SSL_do_handshake(server.ssl()) == 1;
      Bytes flight = server.output();
      CHECK(records.pass(flight.data(), flight.size()));
      client.take(flight);
      if (client_done && server_done) break;
    }
    records.take_over(server.ssl());
    return SSL_is_init_finished(client.ssl()) == 1;
  }
  Bytes seal(const Bytes& plaintext) {
    Bytes record(plaintext.size() + DtlsEpoch::kOverhead);
    CHECK(records.seal(plaintext.data(), plaintext.size(), record.data()));
    return record;
  }
  /** Plaintext, or "refused". */
  Bytes open(const Bytes& record) {
    DtlsRecordHeader header;
    if (!ocvpn::pkt::peek_dtls_record({record.data(), record.size()}, &header)) return refused;
    Bytes plaintext(header.length);
    const int length = records.owns(header) ? records.open(record.data(), header, plaintext.data()) : -1;
    if (length < 0) return refused;
    plaintext.resize(static_cast<size_t>(length));
    return plaintext;
  }

  const Bytes refused = {'r', 'e', 'f', 'u', 's', 'e', 'd'};
  End client, server;
  DtlsRecords records;
};

DtlsRecordHeader header_of(const Bytes& record) {
  DtlsRecordHeader header;
  CHECK(ocvpn::pkt::peek_dtls_record({record.data(), record.size()}, &header));
  return header;
}

}  // namespace

TEST(the_library_opens_what_is_sealed_here) {
  for (const char* cipher : {"PSK-AES128-GCM-SHA256", "PSK-AES256-GCM-SHA384"}) {
    Association both(cipher);
    REQUIRE(both.records.active());
    Random random(seed());
    uint64_t sequence = 0;  // of the server's Finished
    for (const size_t size : {1, 15, 16, 17, 200, 1400, 16384}) {
      const Bytes plaintext = random.bytes(size);
      const Bytes record = both.seal(plaintext);
      CHECK_EQ(header_of(record).sequence, ++sequence);
      CHECK(std::memcmp(record.data() + 13, record.data() + 3, 8) == 0);  // explicit nonce: epoch and number
      both.client.take(record);
      CHECK_EQ(both.client.read(), plaintext);
      // All that differs from the library's record is what chance and the count decide.
      const Bytes reference = both.client.write(plaintext);
      CHECK_EQ(reference.size(), record.size());
      CHECK(std::memcmp(reference.data(), record.data(), 5) == 0);
    }
  }
}

TEST(what_the_library_sealed_is_opened_here_once) {
  Association both;
  Random random(seed());
  for (const size_t size : {1, 16, 1400, 16384}) {
    const Bytes plaintext = random.bytes(size);
    const Bytes record = both.client.write(plaintext);
    CHECK_EQ(both.open(record), plaintext);
    CHECK_EQ(both.open(record), both.refused);
  }
}

TEST(every_changed_byte_is_noticed) {
  Association both;
  const Bytes plaintext(40, 9);
  const Bytes record = both.client.write(plaintext);
  for (size_t i = 0; i < record.size(); ++i) {
    Bytes forged = record;
    forged[i] ^= 1;
    CHECK_EQ(both.open(forged), both.refused);
  }
  for (size_t length = 0; length < record.size(); ++length) {
    Bytes cut(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK_EQ(both.open(cut), both.refused);
    if (length < 13) continue;
    cut[11] = static_cast<uint8_t>((length - 13) >> 8);  // a header that agrees
    cut[12] = static_cast<uint8_t>(length - 13);
    CHECK_EQ(both.open(cut), both.refused);
  }
  CHECK_EQ(ERR_peek_error(), 0ul);  // the library would take it for its own
  CHECK_EQ(both.open(record), plaintext);
}

TEST(records_may_come_in_any_order_within_the_window) {
  Association both;
  std::vector<Bytes> records;
  for (uint8_t i = 0; i < 100; ++i) records.push_back(both.client.write({i}));
  CHECK_EQ(both.open(records[99]), Bytes{99});
  for (uint8_t i = 99; i-- > 0;) CHECK_EQ(both.open(records[i]), 99 - i < 64 ? Bytes{i} : both.refused);
  for (uint8_t i = 0; i < 100; ++i) CHECK_EQ(both.open(records[i]), both.refused);
}

TEST(what_the_library_says_later_has_the_next_number) {
  Association both;
  for (uint8_t i = 0; i < 20; ++i) {
    both.client.take(both.seal({i}));
    CHECK_EQ(both.client.read(), Bytes{i});
  }
  SSL_shutdown(both.server.ssl());
  Bytes alert = both.server.output();
  CHECK(header_of(alert).sequence < 20);  // one that the client has seen
  REQUIRE(both.records.pass(alert.data(), alert.size()));
  CHECK_EQ(header_of(alert).sequence, 21u);
  both.client.take(alert);
  both.client.read();
  CHECK_EQ(SSL_get_shutdown(both.client.ssl()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
}

TEST(a_rekey_begins_an_epoch_and_ends_the_one_before) {
  Association both;
  const Bytes before = both.client.write({1});
  for (uint8_t i = 0; i < 5; ++i) both.client.take(both.seal({i})), both.client.read();
  CHECK(SSL_renegotiate(both.client.ssl()) == 1);
  for (int i = 0; i < 10 && (i < 2 || SSL_in_init(both.client.ssl()) != 0); ++i) {
    SSL_do_handshake(both.client.ssl());
    both.server.take(both.client.output());
    both.server.read();
    Bytes flight = both.server.output();
    CHECK(both.records.pass(flight.data(), flight.size()));
    both.client.take(flight);
  }
  REQUIRE(SSL_in_init(both.client.ssl()) == 0);
  both.records.take_over(both.server.ssl());
  REQUIRE(both.records.active());
  const Bytes record = both.seal({2});
  CHECK_EQ(header_of(record).epoch, 2);
  both.client.take(record);
  CHECK_EQ(both.client.read(), Bytes{2});
  CHECK_EQ(both.open(before), both.refused);
  CHECK_EQ(both.open(both.client.write({3})), Bytes{3});
}

TEST(other_ciphers_stay_the_librarys) {
  for (const char* cipher : {"PSK-CHACHA20-POLY1305", "PSK-AES128-CBC-SHA256"}) {
    Association both(cipher);
    CHECK(!both.records.active());
    CHECK(!both.records.watches());
  }
}
