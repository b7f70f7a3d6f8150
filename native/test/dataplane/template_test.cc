// Processes of sessions that are copies of a template: what they have, what they do not have, and what happens without it.
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "dataplane/session_process.h"
#include "dataplane/session_template.h"
#include "dataplane/test_client.h"

using namespace ocvpn;
using namespace ocvpn::test;
using dataplane::SessionTemplate;
using dataplane::SharedCounters;

namespace {

/** A field of /proc/PID/status. */
std::string status_of(pid_t pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field + ":", 0) == 0) return line.substr(line.find_first_not_of(" \t", field.size() + 1));
  }
  return "";
}

/** Children of this process by their name. */
std::vector<pid_t> children(const std::string& name) {
  std::vector<pid_t> found;
  std::ifstream file("/proc/self/task/" + std::to_string(getpid()) + "/children");
  for (pid_t pid; file >> pid;) {
    if (status_of(pid, "Name") == name && status_of(pid, "State")[0] != 'Z') found.push_back(pid);
  }
  return found;
}

/** Whether these bytes are anywhere in the memory that a process can write to. */
bool holds(pid_t pid, const std::string& bytes) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  std::ifstream memory("/proc/" + std::to_string(pid) + "/mem", std::ios::binary);
  constexpr size_t kMost = size_t{256} << 20;  // the sanitizer's shadow is larger
  for (std::string line; std::getline(maps, line);) {
    uintptr_t start = 0, end = 0;
    char mode[5] = {};
    if (sscanf(line.c_str(), "%lx-%lx %4s", &start, &end, mode) != 3 || mode[1] != 'w' || end - start > kMost) continue;
    std::string content(end - start, '\0');
    memory.clear();
    memory.seekg(static_cast<std::streamoff>(start));
    memory.read(content.data(), static_cast<std::streamsize>(content.size()));
    if (content.find(bytes) != std::string::npos) return true;
  }
  return false;
}

bool carries_data(Tunnel& tunnel) {
  const Bytes packet = build(inner(300));
  tunnel.tun.push_packet(packet);
  if (tunnel.receive().payload != packet) return false;
  return tunnel.send(kData, packet) && tunnel.tun.pop_packet() == packet;
}

/** A server with a template, however the tests are run. */
struct TemplateServer : Server {
  TemplateServer() : Server(dataplane::Shepherd::create()) { CHECK(engine().start_template()); }
};

}  // namespace

TEST(a_copy_is_our_child_with_less_rights_than_its_template) {
  TemplateServer server;
  Tunnel tunnel(server);
  REQUIRE(carries_data(tunnel));
  REQUIRE(children("ocvpn-template").size() == 1 && children("ocvpn-session").size() == 1);
  const pid_t session = children("ocvpn-session")[0];
  CHECK_EQ(server.engine().process(tunnel.id), session);
  CHECK_EQ(status_of(session, "PPid"), std::to_string(getpid()));
  CHECK_EQ(std::stoi(status_of(session, "Seccomp_filters")),
           std::stoi(status_of(children("ocvpn-template")[0], "Seccomp_filters")) + 1);
}

TEST(dtls_key_updates_and_farewells_work_in_a_copy) {
  TemplateServer server;
  Tunnel tunnel(server);
  REQUIRE(tunnel.start_dtls());
  const Bytes packet = build(inner(300));
  CHECK(tunnel.dtls->send(kData, packet));
  CHECK_EQ(tunnel.tun.pop_packet(), packet);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(SSL_key_update(tunnel.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
    CHECK(tunnel.send(kData, packet));
    CHECK_EQ(tunnel.tun.pop_packet(), packet);
    CHECK(tunnel.send(kDpdOut, {1, 2}));
    CHECK_EQ(tunnel.receive().payload, (Bytes{1, 2}));
  }
  CHECK(tunnel.counters().rxDtlsPackets.get() >= 1 && tunnel.counters().rxTlsPackets.get() >= 3);
  server.engine().terminate(tunnel.id, true, CloseReason::server_disconnect);
  CHECK_EQ(tunnel.receive().type, kDisconnect);
  CHECK_EQ(tunnel.wait_end(), -2);
  CHECK(server.event(EventType::closed).has_value());
}

TEST(copies_do_not_share_their_random_numbers) {
  TemplateServer server;
  Tunnel first(server), second(server);
  REQUIRE(first.start_dtls() && second.start_dtls());
  Bytes randoms[2] = {Bytes(SSL3_RANDOM_SIZE), Bytes(SSL3_RANDOM_SIZE)};
  SSL_get_server_random(first.dtls->ssl(), randoms[0].data(), SSL3_RANDOM_SIZE);
  SSL_get_server_random(second.dtls->ssl(), randoms[1].data(), SSL3_RANDOM_SIZE);
  CHECK(randoms[0] != randoms[1]);
}

TEST(nothing_of_other_people_is_in_a_template_or_a_copy) {
  TemplateServer server;
  // What a login leaves in the worker.
  std::string marker = "left by an ";
  marker += "earlier login";
  Tunnel first(server);
  Tunnel second(server);
  REQUIRE(carries_data(first) && carries_data(second));
  const std::string key(first.psk.begin(), first.psk.end());
  const pid_t own = server.engine().process(first.id);
  const pid_t other = server.engine().process(second.id);
  CHECK(holds(getpid(), marker) && holds(getpid(), key));  // the test has both itself
  CHECK(holds(own, key));
  for (const pid_t pid : {other, children("ocvpn-template")[0]}) CHECK(!holds(pid, key) && !holds(pid, marker));
  CHECK(!holds(own, marker));
}

TEST(without_its_template_a_worker_forks_and_says_so_once) {
  TemplateServer server;
  Tunnel before(server);
  ::kill(children("ocvpn-template")[0], SIGKILL);
  REQUIRE(eventually([] { return children("ocvpn-template").empty(); }));
  Tunnel after(server);
  Tunnel later(server);
  CHECK(carries_data(before) && carries_data(after) && carries_data(later));
  CHECK(server.event(EventType::template_lost).has_value());
  CHECK(!server.event(EventType::template_lost, 0).has_value());
  CHECK_EQ(children("ocvpn-session").size(), 3U);
}

TEST(what_cannot_be_handed_over_is_forked) {
  TemplateServer server;
  TunnelOptions library = plain_options();
  library.offloads.own_records = false;
  const Bytes head(20000, 0xff);  // more than a message takes, and no CSTP
  Tunnel old(server, plain_options(), {}, TLS1_2_VERSION);
  Tunnel without(server, library);
  CHECK(carries_data(old) && carries_data(without));
  Tunnel much(server, plain_options(), head);
  CHECK_EQ(much.response, std::string("HTTP/1.1 200 CONNECTED\r\n\r\n"));
  auto closed = server.event(EventType::closed);
  REQUIRE(closed.has_value());
  CHECK(std::strstr(closed->detail, "not CSTP") != nullptr);
  CHECK_EQ(children("ocvpn-template").size(), 1U);
}

TEST(copies_without_a_tunnel_end_and_pages_run_out) {
  auto memory = io::MemoryMap::open();
  REQUIRE(memory.ok());
  auto started = SessionTemplate::start(memory.value(), dataplane::Clock());
  REQUIRE(started.ok());
  SharedCounters counters;
  for (uint32_t i = 0; i < SessionTemplate::kSessions; ++i) {
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    const pid_t pid = started.value()->spawn(pair[1], {}, &counters);
    REQUIRE(pid > 0);
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(dataplane::SessionExit::no_tunnel));
    close(pair[0]);
    close(pair[1]);
  }
  CHECK_EQ(started.value()->spawn(0, {}, &counters), -ENOSPC);
}
