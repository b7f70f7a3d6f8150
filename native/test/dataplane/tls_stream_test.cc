#include "dataplane/tls_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dataplane/tls_peer.h"
#include "support/check.h"

using namespace ocvpn;
using namespace ocvpn::test;

namespace {

constexpr int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

}  // namespace

TEST(every_key_type_signs_and_the_exporters_agree) {
  for (const char* type : {"RSA", "EC", "ED25519"}) {
    const Identity identity(type);
    for (const int version : kVersions) {
      TlsPair pair(identity, version);
      REQUIRE(pair.handshake());
      CHECK_EQ(pair.server().is_tls13(), version == TLS1_3_VERSION);
      CHECK(pair.server().signature_scheme() != 0);
      TlsBytes key(32);
      CHECK(pair.server().export_dtls_psk(key.data()));
      CHECK_EQ(key, client_psk(pair.client()));
    }
  }
}

TEST(nothing_is_exported_before_the_handshake) {
  TlsPair pair(ec());
  REQUIRE(pair.run_to_signature());
  TlsBytes key(32);
  CHECK(!pair.server().export_dtls_psk(key.data()));
  CHECK(!pair.server().handshake_done());
}

TEST(a_handshake_that_arrives_byte_by_byte) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    bool done = false;
    for (int round = 0; round < 10 && !done; ++round) {
      const bool client_done = pair.client_step();
      uint8_t byte;
      while (recv(pair.server().fd(), &byte, 1, MSG_DONTWAIT) == 1) {
        REQUIRE(pair.server().feed(&byte, 1) == 1);
        if (pair.server().handshake() == TlsStatus::kWantSign) REQUIRE(pair.answer());
        REQUIRE(pair.server().handshake() != TlsStatus::kError);
      }
      pair.server().flush();
      done = client_done && pair.server().handshake_done();
    }
    CHECK(done);
  }
}

TEST(one_write_is_one_record_and_many_leave_in_one_flush) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    Random random(seed());
    const std::vector<TlsBytes> packets = {random.bytes(1), random.bytes(1400), random.bytes(16384), random.bytes(77)};
    for (const TlsBytes& packet : packets) {
      REQUIRE(pair.server().write(packet.data(), packet.size()) == TlsStatus::kOk);
    }
    CHECK(pair.server().pending_output() > 1 + 1400 + 16384 + 77);
    CHECK_EQ(pair.server().flush().status, TlsStatus::kOk);
    CHECK_EQ(pair.server().pending_output(), std::size_t{0});
    for (const TlsBytes& packet : packets) CHECK_EQ(pair.client_read(), packet);
  }
}

TEST(one_read_is_one_record) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    Random random(seed());
    const std::vector<TlsBytes> packets = {random.bytes(1434), random.bytes(3), random.bytes(16384)};
    for (const TlsBytes& packet : packets) REQUIRE(pair.client_write(packet));
    TlsBytes data;
    for (const TlsBytes& packet : packets) {
      CHECK_EQ(pair.server_read(&data).status, TlsStatus::kOk);
      CHECK_EQ(data, packet);
    }
    CHECK_EQ(pair.server_read(&data).status, TlsStatus::kWantRead);
  }
}

TEST(a_small_buffer_gets_a_record_in_pieces) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  REQUIRE(pair.client_write(text("abcdefgh")));
  TlsBytes data;
  pair.server_read(&data, 3);
  CHECK_EQ(data, text("abc"));
  pair.server_read(&data, 3);
  CHECK_EQ(data, text("def"));
  pair.server_read(&data, 3);
  CHECK_EQ(data, text("gh"));
}

TEST(records_cut_anywhere_are_put_together) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    Random random(seed());
    TlsBytes sent, got, wire(70000);
    for (int i = 0; i < 40; ++i) {
      const TlsBytes packet = random.bytes(random.between(1, 1500));
      REQUIRE(pair.client_write(packet));
      sent.insert(sent.end(), packet.begin(), packet.end());
    }
    std::size_t length = 0;
    for (ssize_t n; (n = recv(pair.server().fd(), wire.data() + length, wire.size() - length, MSG_DONTWAIT)) > 0;)
      length += static_cast<std::size_t>(n);
    TlsBytes piece(TlsStream::kMaxPlaintext);
    for (std::size_t at = 0; at < length;) {
      const std::size_t count = std::min<std::size_t>(random.between(1, 2000), length - at);
      REQUIRE(pair.server().feed(wire.data() + at, count) == count);
      at += count;
      for (TlsResult r; (r = pair.server().read(piece.data(), piece.size())).status == TlsStatus::kOk;)
        got.insert(got.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(r.bytes));
    }
    CHECK(got == sent);
  }
}

TEST(openssl_never_holds_a_part_of_a_record) {
  // The type of the next record must be known before OpenSSL reads it: a renegotiation needs a job.
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    REQUIRE(pair.client_write(TlsBytes(100, 22)));
    TlsBytes wire(200), data(TlsStream::kMaxPlaintext);
    const auto length = static_cast<std::size_t>(recv(pair.server().fd(), wire.data(), wire.size(), 0));
    for (const std::size_t cut : {std::size_t{3}, std::size_t{5}, std::size_t{40}}) {
      const std::size_t held = TlsStream::kInputCapacity - pair.server().input_room();
      pair.server().feed(wire.data() + held, cut - held);
      CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kWantRead);
      CHECK_EQ(pair.server().input_room(), TlsStream::kInputCapacity - cut);
    }
    pair.server().feed(wire.data() + 40, length - 40);
    CHECK_EQ(pair.server().read(data.data(), data.size()).bytes, std::size_t{100});
    CHECK_EQ(pair.server().renegotiations_refused(), 0U);
  }
}

TEST(released_buffers_lose_nothing) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    const TlsBytes packet(1000, 22);
    TlsBytes wire(2000), data(TlsStream::kMaxPlaintext);
    for (int i = 0; i < 3; ++i) {
      // A part of a record waits, then output does.
      REQUIRE(pair.client_write(packet));
      const auto length = static_cast<std::size_t>(recv(pair.server().fd(), wire.data(), wire.size(), 0));
      pair.server().feed(wire.data(), 500);
      CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kWantRead);
      pair.server().release_buffers();
      pair.server().feed(wire.data() + 500, length - 500);
      CHECK_EQ(pair.server().read(data.data(), data.size()).bytes, packet.size());
      CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kOk);
      pair.server().release_buffers();
      CHECK_EQ(pair.server().flush().status, TlsStatus::kOk);
      CHECK(pair.client_read() == packet);
      pair.server().release_buffers();
    }
  }
}

TEST(the_input_buffer_is_bounded) {
  TlsPair pair(ec());
  REQUIRE(pair.run_to_signature());
  const TlsBytes junk(100000, 0x17);
  const std::size_t room = pair.server().input_room();
  CHECK_EQ(pair.server().feed(junk.data(), junk.size()), room);
  CHECK_EQ(pair.server().input_room(), std::size_t{0});
  CHECK_EQ(pair.server().receive().status, TlsStatus::kBlocked);
}

TEST(output_over_the_limit_is_blocked_and_goes_on_after_a_flush) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  pair.server().set_output_limit(20000);
  const TlsBytes packet(16384, 7);
  CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kOk);
  CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kOk);
  CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kBlocked);
  CHECK(pair.server().pending_output() < 20000 + 17000);
  pair.server().flush();
  CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kOk);
  pair.server().flush();
  for (int i = 0; i < 3; ++i) CHECK_EQ(pair.client_read(), packet);
}

TEST(lengths_outside_a_record_are_refused) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  const TlsBytes packet(TlsStream::kMaxPlaintext + 1);
  CHECK_EQ(pair.server().write(packet.data(), 0), TlsStatus::kError);
  CHECK_EQ(pair.server().write(packet.data(), packet.size()), TlsStatus::kError);
  CHECK_EQ(pair.server().write(packet.data(), 5), TlsStatus::kOk);
}

TEST(close_notify_ends_both_directions_once) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  pair.server().close_notify();
  const std::size_t pending = pair.server().pending_output();
  CHECK(pending > 0);
  pair.server().close_notify();
  CHECK_EQ(pair.server().pending_output(), pending);
  CHECK_EQ(pair.server().write(text("x").data(), 1), TlsStatus::kError);
  pair.server().flush();
  pair.client_read();
  CHECK_EQ(SSL_get_shutdown(pair.client()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  SSL_shutdown(pair.client());
  TlsBytes data;
  CHECK_EQ(pair.server_read(&data).status, TlsStatus::kEnd);
}

TEST(a_forged_record_is_fatal_and_leaves_an_alert) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    TlsBytes record = {0x17, 3, 3, 0, 40};
    record.resize(45, 0xab);
    pair.server().feed(record.data(), record.size());
    TlsBytes data(TlsStream::kMaxPlaintext);
    CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kError);
    CHECK_EQ(pair.server().error_code(), std::string("ERR_TLS_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"));
    CHECK(pair.server().pending_output() > 0);
    CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kError);
    CHECK_EQ(pair.server().write(data.data(), 1), TlsStatus::kError);
  }
}

TEST(a_record_that_claims_too_much_is_fatal_at_once) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  const TlsBytes header = {0x17, 3, 3, 0xff, 0xff};
  pair.server().feed(header.data(), header.size());
  TlsBytes data(TlsStream::kMaxPlaintext);
  CHECK_EQ(pair.server().read(data.data(), data.size()).status, TlsStatus::kError);
}

TEST(fin_and_reset_are_told_apart) {
  TlsPair pair(ec());
  REQUIRE(pair.handshake());
  CHECK_EQ(pair.server().receive().status, TlsStatus::kWantRead);
  shutdown(pair.client_fd(), SHUT_WR);
  CHECK_EQ(pair.server().receive().status, TlsStatus::kEnd);
  shutdown(pair.client_fd(), SHUT_RD);
  CHECK_EQ(pair.server().write(text("x").data(), 1), TlsStatus::kOk);
  CHECK_EQ(pair.server().flush().status, TlsStatus::kError);
  CHECK_EQ(pair.server().error_code(), std::string("EPIPE"));
}

// ---------------------------------------------------------------- signatures

TEST(a_stream_may_go_while_a_signature_is_pending) {
  TlsPair pair(ec());
  REQUIRE(pair.run_to_signature());
  CHECK(pair.server().in_job());
  CHECK_EQ(pair.server().handshake(), TlsStatus::kWantSign);
  CHECK_EQ(pair.server().write(text("x").data(), 1), TlsStatus::kBlocked);
  pair.take_server().reset();  // the leak checker sees what stays behind
}

TEST(a_refused_signature_fails_the_handshake) {
  TlsPair pair(ec());
  REQUIRE(pair.run_to_signature());
  const uint32_t id = pair.server().sign_request()->id;
  CHECK(!pair.server().complete_sign(id + 1, nullptr, 0));
  CHECK(pair.server().complete_sign(id, nullptr, 0));
  CHECK(!pair.server().complete_sign(id, nullptr, 0));
  CHECK_EQ(pair.server().handshake(), TlsStatus::kError);
  CHECK(!pair.server().in_job());
}

TEST(a_signature_longer_than_the_key_allows_fails_the_handshake) {
  TlsPair pair(ec());
  REQUIRE(pair.run_to_signature());
  const TlsBytes huge(2000, 1);
  CHECK(pair.server().complete_sign(pair.server().sign_request()->id, huge.data(), huge.size()));
  CHECK_EQ(pair.server().handshake(), TlsStatus::kError);
}

// ---------------------------------------------------------------- another process

TEST(a_forked_process_goes_on_with_the_stream) {
  for (const int version : kVersions) {
    TlsPair pair(ec(), version);
    REQUIRE(pair.handshake());
    REQUIRE(pair.client_write(text("to the child")));
    const pid_t child = fork();
    if (child == 0) {
      pair.server_receive();
      TlsBytes data(TlsStream::kMaxPlaintext);
      const TlsResult result = pair.server().read(data.data(), data.size());
      const bool ok = result.status == TlsStatus::kOk &&
                      pair.server().write(data.data(), result.bytes) == TlsStatus::kOk &&
                      pair.server().flush().status == TlsStatus::kOk;
      _exit(ok ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(pair.client_read(), text("to the child"));
  }
}
