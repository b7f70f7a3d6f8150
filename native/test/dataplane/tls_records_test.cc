// Keys that change under open streams, and data that is sealed and opened past the library.
#include <openssl/ssl.h>

#include "dataplane/tls_peer.h"
#include "dataplane/tls_stream.h"
#include "support/check.h"

using namespace ocvpn;
using namespace ocvpn::test;

namespace {

/** Lets a client renegotiate; the server's side is served by server_read. True when the client has finished. */
bool renegotiate(TlsPair& pair, TlsStatus* last) {
  SSL_renegotiate(pair.client());
  for (int round = 0; round < 10; ++round) {
    const bool done = pair.client_step();
    TlsBytes data;
    *last = pair.server_read(&data).status;
    if (done && SSL_renegotiate_pending(pair.client()) == 0) return true;
    if (*last == TlsStatus::kError) return false;
  }
  return false;
}

}  // namespace

// ---------------------------------------------------------------- renegotiation and key update

TEST(a_renegotiation_within_the_budget_signs_again_and_changes_the_keys) {
  TlsPair pair(ec(), TLS1_2_VERSION);
  REQUIRE(pair.handshake());
  const TlsBytes before = client_psk(pair.client());
  pair.server().set_renegotiation_budget(1);
  TlsStatus last = TlsStatus::kOk;
  REQUIRE(renegotiate(pair, &last));
  CHECK(client_psk(pair.client()) != before);
  CHECK_EQ(pair.server().renegotiations(), 1U);
  CHECK_EQ(pair.server().renegotiations_refused(), 0U);
  REQUIRE(pair.client_write(text("after")));
  TlsBytes data;
  CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
  CHECK_EQ(data, text("after"));
  CHECK_EQ(pair.server().write(text("yes").data(), 3), TlsStatus::kOk);
  pair.server().flush();
  CHECK_EQ(pair.client_read(), text("yes"));
}

TEST(a_renegotiation_beyond_the_budget_is_declined_and_counted) {
  for (const uint32_t budget : {0U, 1U}) {
    TlsPair pair(ec(), TLS1_2_VERSION);
    REQUIRE(pair.handshake());
    pair.server().set_renegotiation_budget(budget);
    TlsStatus last = TlsStatus::kOk;
    for (uint32_t i = 0; i < budget; ++i) REQUIRE(renegotiate(pair, &last));
    SSL_renegotiate(pair.client());
    CHECK(!pair.client_step());
    TlsBytes data;
    CHECK_EQ(pair.server_read(&data).status, TlsStatus::kWantRead);
    CHECK_EQ(pair.server().write(text("goes on").data(), 7), TlsStatus::kOk);
    CHECK_EQ(pair.server().renegotiations(), budget);
    CHECK_EQ(pair.server().renegotiations_refused(), 1U);
    CHECK(pair.server().sign_request() == nullptr);
  }
}

TEST(data_cannot_be_written_while_a_renegotiation_waits_for_its_signature) {
  TlsPair pair(ec(), TLS1_2_VERSION);
  REQUIRE(pair.handshake());
  pair.server().set_renegotiation_budget(1);
  SSL_renegotiate(pair.client());
  pair.client_step();
  pair.server_receive();
  TlsBytes data(TlsStream::kMaxPlaintext);
  REQUIRE(pair.server().read(data.data(), data.size()).status == TlsStatus::kWantSign);
  CHECK_EQ(pair.server().write(data.data(), 10), TlsStatus::kBlocked);
  CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kWantSign);
  pair.take_server().reset();
}

TEST(key_updates_of_both_sides) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  CHECK(pair.server().request_key_update());
  SSL_key_update(pair.client(), SSL_KEY_UPDATE_REQUESTED);
  TlsBytes data;
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(pair.server().write(text("down").data(), 4), TlsStatus::kOk);
    pair.server().flush();
    TlsBytes got = pair.client_read();
    if (got.empty()) got = pair.client_read();  // the KeyUpdate itself
    CHECK_EQ(got, text("down"));
    REQUIRE(pair.client_write(text("up")));
    CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
    CHECK_EQ(data, text("up"));
  }
  TlsPair old(ec(), TLS1_2_VERSION);
  REQUIRE(old.handshake());
  CHECK(!old.server().request_key_update());
}

TEST(key_updates_or_renegotiations_without_data_in_between_are_cut_off) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  TlsBytes data;
  TlsStatus last = TlsStatus::kOk;
  int count = 0;
  for (int i = 0; i < 200 && last != TlsStatus::kError; ++i) {
    REQUIRE(SSL_key_update(pair.client(), SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(pair.client()) == 1);
    if (i < 100) REQUIRE(pair.client_write(text("up")));
    else ++count;
    last = pair.server_read(&data).status;
  }
  CHECK(last == TlsStatus::kError && count >= 16 && count <= 33);
  TlsPair old(ec(), TLS1_2_VERSION);
  REQUIRE(old.handshake());
  old.server().set_renegotiation_budget(1000);
  for (count = 0; count < 100 && renegotiate(old, &last);) ++count;
  CHECK(last == TlsStatus::kError && count >= 5 && count <= 33);
}

// ---------------------------------------------------------------- records past the library

TEST(data_goes_on_when_the_records_are_taken_over_in_the_middle) {
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    TlsPair pair(ec());
    pair.own_records = false;
    REQUIRE(SSL_set_ciphersuites(pair.client(), suite) == 1);
    REQUIRE(pair.handshake());
    TlsBytes data;
    for (int i = 0; i < 60; ++i) {
      if (i == 20) pair.server().use_own_records();
      const TlsBytes up(static_cast<size_t>(i) * 200 + 1, static_cast<uint8_t>(i));
      REQUIRE(pair.client_write(up));
      CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
      CHECK_EQ(data, up);
      CHECK_EQ(pair.server().write(up.data(), up.size()), TlsStatus::kOk);
      pair.server().flush();
      CHECK_EQ(pair.client_read(), up);
    }
    pair.server().close_notify();
    pair.server().flush();
    CHECK(pair.client_read().empty());
    CHECK_EQ(SSL_get_shutdown(pair.client()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  }
}

TEST(padding_of_a_client_is_taken_off) {
  TlsPair pair(ec());
  REQUIRE(SSL_set_block_padding(pair.client(), 512) == 1);
  REQUIRE(pair.handshake());
  TlsBytes data;
  for (const size_t size : {size_t{1}, size_t{510}, size_t{511}, size_t{512}, TlsStream::kMaxPlaintext}) {
    TlsBytes up(size, 0);  // zeros as the padding's
    REQUIRE(pair.client_write(up));
    CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
    CHECK_EQ(data, up);
  }
}

TEST(the_first_key_update_may_be_the_first_record_past_the_library) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  TlsBytes data;
  for (int i = 0; i < 3; ++i) {
    CHECK(pair.server().request_key_update());
    REQUIRE(SSL_key_update(pair.client(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    REQUIRE(pair.client_write(text("up")));
    CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
    CHECK_EQ(data, text("up"));
    CHECK_EQ(pair.server().write(text("down").data(), 4), TlsStatus::kOk);
    pair.server().flush();
    TlsBytes got = pair.client_read();
    if (got.empty()) got = pair.client_read();  // the KeyUpdate itself
    CHECK_EQ(got, text("down"));
  }
}
