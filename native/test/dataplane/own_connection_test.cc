// TLS 1.3 connections in which OpenSSL has no part any more: messages of a peer that breaks the rules, and the way into
// another process.
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "dataplane/handover.h"
#include "dataplane/messages.h"
#include "dataplane/tls_peer.h"
#include "dataplane/tls_records.h"
#include "dataplane/tls_stream.h"
#include "support/check.h"

using namespace ocvpn;
using namespace ocvpn::test;

namespace {

std::string client_secret;

void keep_secret(const SSL*, const char* line) {
  if (std::strncmp(line, "CLIENT_TRAFFIC_SECRET_0", 23) == 0) client_secret = line;
}

/** A connection that is ours, with a hand of its own for the client's records. */
struct Forger {
  Forger() : pair(ec()) {
    pair.own_records = true;
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(pair.client()), keep_secret);
    if (!pair.handshake()) fail(__FILE__, __LINE__, "no handshake");
    CHECK_EQ(pair.server().write(text("hello").data(), 5), TlsStatus::kOk);
    pair.server().flush();
    CHECK_EQ(pair.client_read(), text("hello"));
    CHECK(pair.server().owns_records());
    CHECK(client.note_secret(client_secret.c_str(), "CLIENT_TRAFFIC_SECRET_0"));
    CHECK(client.begin(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(pair.client())), true));
  }
  TlsBytes record(uint8_t type, const TlsBytes& plaintext) {
    TlsBytes bytes(plaintext.size() + TlsDirection::kOverhead);
    std::copy(plaintext.begin(), plaintext.end(), bytes.begin() + TlsDirection::kHeader);
    CHECK(client.seal(type, bytes.data(), plaintext.size()));
    return bytes;
  }
  TlsStatus take(const TlsBytes& bytes) {
    pair.server().feed(bytes.data(), bytes.size());
    TlsBytes room(TlsStream::kMaxPlaintext);
    return pair.server().read(room.data(), room.size()).status;
  }
  /** The alert that the client got; -1: none. */
  int alert() {
    SSL_set_info_callback(pair.client(), [](const SSL* ssl, int where, int value) {
      if (where == SSL_CB_READ_ALERT) SSL_set_app_data(const_cast<SSL*>(ssl), reinterpret_cast<char*>(value & 0xff));
    });
    SSL_set_app_data(pair.client(), reinterpret_cast<char*>(-1));
    pair.server().flush();
    pair.client_read();
    return static_cast<int>(reinterpret_cast<intptr_t>(SSL_get_app_data(pair.client())));
  }

  TlsPair pair;
  TlsDirection client;
};

/** The same connection in an object that never saw the handshake. */
std::unique_ptr<TlsStream> moved(TlsPair& pair) {
  const int fd = dup(pair.server().fd());
  const TlsBytes saved = pair.server().save();
  pair.take_server().reset();
  return TlsStream::restore(fd, saved.data(), saved.size());
}

}  // namespace

TEST(what_is_no_message_of_a_client_is_refused_with_the_right_alert) {
  const struct {
    uint8_t type;
    TlsBytes plaintext;
    int alert;
  } cases[] = {
      {SSL3_RT_HANDSHAKE, {24, 0, 0, 1, 2}, SSL_AD_ILLEGAL_PARAMETER},         // request_update is 0 or 1
      {SSL3_RT_HANDSHAKE, {24, 0, 0, 1}, SSL_AD_UNEXPECTED_MESSAGE},           // in pieces
      {SSL3_RT_HANDSHAKE, {24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, SSL_AD_UNEXPECTED_MESSAGE},
      {SSL3_RT_HANDSHAKE, {4, 0, 0, 0}, SSL_AD_UNEXPECTED_MESSAGE},            // a ticket
      {SSL3_RT_HANDSHAKE, {}, SSL_AD_UNEXPECTED_MESSAGE},
      {SSL3_RT_ALERT, {1}, SSL_AD_DECODE_ERROR},
      {SSL3_RT_CHANGE_CIPHER_SPEC, {1}, SSL_AD_UNEXPECTED_MESSAGE},
      {99, {1, 2, 3}, SSL_AD_UNEXPECTED_MESSAGE},
  };
  for (const auto& one : cases) {
    Forger forger;
    CHECK_EQ(forger.take(forger.record(one.type, one.plaintext)), TlsStatus::kError);
    CHECK_EQ(forger.alert(), one.alert);
    CHECK(forger.pair.server().failed());
  }
}

TEST(records_that_do_not_open_end_the_connection) {
  Forger changed;
  TlsBytes record = changed.record(SSL3_RT_APPLICATION_DATA, text("data"));
  record.back() ^= 1;
  CHECK_EQ(changed.take(record), TlsStatus::kError);
  CHECK_EQ(changed.alert(), SSL_AD_BAD_RECORD_MAC);

  Forger repeated;
  record = repeated.record(SSL3_RT_APPLICATION_DATA, text("data"));
  CHECK_EQ(repeated.take(record), TlsStatus::kOk);
  CHECK_EQ(repeated.take(record), TlsStatus::kError);
  CHECK_EQ(repeated.alert(), SSL_AD_BAD_RECORD_MAC);

  Forger plain;
  CHECK_EQ(plain.take({SSL3_RT_ALERT, 3, 3, 0, 2, 2, 40}), TlsStatus::kError);
  CHECK_EQ(plain.alert(), SSL_AD_UNEXPECTED_MESSAGE);

  Forger large;
  CHECK_EQ(large.take({SSL3_RT_APPLICATION_DATA, 3, 3, 0xff, 0xff}), TlsStatus::kError);
  CHECK_EQ(large.alert(), SSL_AD_RECORD_OVERFLOW);
}

TEST(alerts_of_a_client_end_the_connection_or_do_not) {
  Forger closing;
  CHECK_EQ(closing.take(closing.record(SSL3_RT_ALERT, {1, SSL_AD_CLOSE_NOTIFY})), TlsStatus::kEnd);
  Forger failing;
  CHECK_EQ(failing.take(failing.record(SSL3_RT_ALERT, {2, SSL_AD_HANDSHAKE_FAILURE})), TlsStatus::kError);
  CHECK(failing.pair.server().error().find("handshake failure") != std::string::npos);
  CHECK_EQ(failing.alert(), -1);
  Forger cancelled;
  CHECK_EQ(cancelled.take(cancelled.record(SSL3_RT_ALERT, {1, SSL_AD_USER_CANCELLED})), TlsStatus::kWantRead);
  CHECK_EQ(cancelled.take(cancelled.record(SSL3_RT_APPLICATION_DATA, text("more"))), TlsStatus::kOk);
}

TEST(records_without_data_are_limited) {
  Forger forger;
  int taken = 0;
  while (taken < 100 && forger.take(forger.record(SSL3_RT_APPLICATION_DATA, {})) == TlsStatus::kWantRead) ++taken;
  CHECK(taken >= 16 && taken <= 33);
  CHECK_EQ(forger.alert(), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST(a_record_that_does_not_fit_its_reader_comes_in_pieces) {
  Forger forger;
  const TlsBytes record = forger.record(SSL3_RT_APPLICATION_DATA, text("0123456789"));
  forger.pair.server().feed(record.data(), record.size());
  std::string got;
  TlsBytes room(4);
  for (TlsResult result; (result = forger.pair.server().read(room.data(), room.size())).status == TlsStatus::kOk;) {
    CHECK(forger.pair.server().save().empty() == (got.size() + result.bytes < 10));
    got.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(result.bytes));
  }
  CHECK_EQ(got, std::string("0123456789"));
}

TEST(a_connection_goes_on_in_another_object) {
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"}) {
    TlsPair pair(ec());
    pair.own_records = true;
    REQUIRE(SSL_set_ciphersuites(pair.client(), suite) == 1);
    REQUIRE(pair.handshake());
    CHECK_EQ(pair.server().write(text("sent").data(), 4), TlsStatus::kOk);
    pair.server().flush();
    CHECK_EQ(pair.client_read(), text("sent"));
    // One record that was received, one of which only a part was, and one that was not sent yet.
    REQUIRE(pair.client_write(text("first")) && pair.client_write(text("second")));
    pair.server().receive();
    CHECK_EQ(pair.server().write(text("waiting").data(), 7), TlsStatus::kOk);
    const TlsBytes psk = client_psk(pair.client());

    std::unique_ptr<TlsStream> stream = moved(pair);
    REQUIRE(stream != nullptr);
    CHECK(stream->is_tls13() && stream->handshake_done());
    TlsBytes exported(32);
    CHECK(stream->export_dtls_psk(exported.data()));
    CHECK_EQ(exported, psk);
    stream->flush();
    CHECK_EQ(pair.client_read(), text("waiting"));
    for (const char* expected : {"first", "second"}) {
      TlsBytes room(TlsStream::kMaxPlaintext);
      const TlsResult result = stream->read(room.data(), room.size());
      room.resize(result.bytes);
      CHECK_EQ(room, text(expected));
    }
    for (int i = 0; i < 3; ++i) {
      REQUIRE(SSL_key_update(pair.client(), SSL_KEY_UPDATE_REQUESTED) == 1);
      CHECK(stream->request_key_update());
      REQUIRE(pair.client_write(text("up")));
      stream->receive();
      TlsBytes room(TlsStream::kMaxPlaintext);
      CHECK_EQ(stream->read(room.data(), room.size()).bytes, 2U);
      CHECK_EQ(stream->write(text("down").data(), 4), TlsStatus::kOk);
      stream->flush();
      TlsBytes got;
      for (int tries = 0; got.empty() && tries < 4; ++tries) got = pair.client_read();  // KeyUpdates carry none
      CHECK_EQ(got, text("down"));
    }
    stream->release_buffers();
    stream->close_notify();
    stream->flush();
    CHECK(pair.client_read().empty());
    CHECK_EQ(SSL_get_shutdown(pair.client()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  }
}

TEST(what_openssl_has_a_part_in_stays_where_it_is) {
  TlsPair old(ec(), TLS1_2_VERSION);
  old.own_records = true;
  REQUIRE(old.handshake());
  CHECK_EQ(old.server().write(text("x").data(), 1), TlsStatus::kOk);
  CHECK(!old.server().owns_records() && old.server().save().empty());

  TlsPair chacha(ec());
  chacha.own_records = true;
  REQUIRE(SSL_set_ciphersuites(chacha.client(), "TLS_CHACHA20_POLY1305_SHA256") == 1 && chacha.handshake());
  CHECK_EQ(chacha.server().write(text("x").data(), 1), TlsStatus::kOk);
  CHECK(!chacha.server().owns_records() && chacha.server().save().empty());

  // Its secret has moved on where nobody was told.
  TlsPair updated(ec());
  updated.own_records = true;
  REQUIRE(updated.handshake());
  REQUIRE(SSL_key_update(updated.client(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
  TlsBytes data;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(updated.client_write(text("up")));
    CHECK_EQ(updated.server_read(&data).status, TlsStatus::kOk);
    CHECK_EQ(updated.server().write(text("down").data(), 4), TlsStatus::kOk);
    updated.server().flush();
    CHECK_EQ(updated.client_read(), text("down"));
  }
  CHECK(!updated.server().owns_records());

  // Its records would be longer than it can take.
  TlsPair small(ec());
  small.own_records = true;
  REQUIRE(SSL_set_tlsext_max_fragment_length(small.client(), TLSEXT_max_fragment_length_512) == 1);
  REQUIRE(small.handshake());
  const TlsBytes large(2000, 'x');
  CHECK_EQ(small.server().write(large.data(), large.size()), TlsStatus::kOk);
  small.server().flush();
  CHECK_EQ(small.client_read().size(), 512U);
  CHECK(!small.server().owns_records());
}

TEST(saved_bytes_that_are_not_whole_are_refused) {
  Forger forger;
  const TlsBytes record = forger.record(SSL3_RT_APPLICATION_DATA, text("waiting"));
  forger.pair.server().feed(record.data(), record.size());
  TlsBytes saved = forger.pair.server().save();
  for (size_t length = 0; length < saved.size(); ++length) {
    CHECK(TlsStream::restore(dup(0), saved.data(), length) == nullptr);
  }
  saved.push_back(0);
  CHECK(TlsStream::restore(dup(0), saved.data(), saved.size()) == nullptr);
  saved.pop_back();
  CHECK(TlsStream::restore(dup(0), saved.data(), saved.size()) != nullptr);
  // The suite is what it begins with.
  saved[0] ^= 0x40;
  CHECK(TlsStream::restore(dup(0), saved.data(), saved.size()) == nullptr);
}

// ---------------------------------------------------------------- with its tunnel

namespace {

/** Both ends of a session's channel. */
struct Channel {
  Channel() {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  }
  ~Channel() {
    for (const int end : ends) close(end);
  }
  int ends[2];
};

}  // namespace

TEST(a_tunnel_passes_through_a_channel_whole_or_not_at_all) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  dataplane::TunnelSetup setup;
  setup.id = 7;
  setup.tls = pair.take_server();
  setup.response = text("HTTP/1.1 200 CONNECTED\r\n\r\n");
  setup.head = text("behind");
  setup.options.tun_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  setup.options.data_mtu = 1234;
  setup.options.dtls.mode = dataplane::DtlsMode::legacy;
  setup.options.dtls.ciphers = "AES256-GCM-SHA384";
  setup.options.dtls.master_secret.fill(3);
  setup.options.dtls.session_id.fill(4);
  setup.options.offloads.own_records = true;
  REQUIRE(dataplane::prepare_handover(&setup));
  Channel channel;
  REQUIRE(dataplane::send_handover(channel.ends[0], setup));

  dataplane::Command command;
  TlsBytes payload(dataplane::kMaxPayload);
  int fd = -1;
  REQUIRE(dataplane::receive_command(channel.ends[1], &command, payload.data(), &fd) == 1);
  close(fd);
  const size_t length = command.payload_length;
  REQUIRE(dataplane::receive_command(channel.ends[1], &command, payload.data() + length, &fd) == 1);
  close(fd);

  dataplane::Counters counters;
  CHECK(dataplane::receive_handover(channel.ends[1], &counters) == nullptr);  // nothing is there
  const auto offer = [&](size_t size, int tcp, int tun) {
    Channel other;
    dataplane::try_send_command(other.ends[0], command, payload.data(), size, tcp);
    dataplane::try_send_command(other.ends[0], command, nullptr, 0, tun);
    return dataplane::receive_handover(other.ends[1], &counters);
  };
  const int tcp = setup.tls->fd();
  const int tun = setup.options.tun_fd;
  for (size_t size = 0; size < length; size += 7) CHECK(offer(size, tcp, tun) == nullptr);
  CHECK(offer(length, -1, tun) == nullptr && offer(length, tcp, -1) == nullptr);
  const auto received = offer(length, tcp, tun);
  REQUIRE(received != nullptr);
  CHECK_EQ(received->id, 7U);
  CHECK_EQ(received->counters, &counters);
  CHECK_EQ(received->head, text("behind"));
  CHECK_EQ(received->options.data_mtu, 1234U);
  CHECK_EQ(received->options.dtls.ciphers, setup.options.dtls.ciphers);
  CHECK(received->options.dtls.mode == setup.options.dtls.mode &&
        received->options.dtls.master_secret == setup.options.dtls.master_secret &&
        received->options.dtls.session_id == setup.options.dtls.session_id);
  close(received->options.tun_fd);
  received->tls->flush();
  CHECK_EQ(pair.client_read(), text("HTTP/1.1 200 CONNECTED\r\n\r\n"));
  close(tun);
}
