// Processes of sessions that are copies of a template: what they have, what they do not have, and what happens without it.
#include <fcntl.h>
#include <linux/sched.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "dataplane/session_process.h"
#include "dataplane/session_template.h"
#include "dataplane/taken_over.h"
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
  TemplateServer() : Server(dataplane::Shepherd::create()) { CHECK(start_template(engine())); }
};

/** What neither a template nor a copy may do, each harmless where it is allowed; `victim` is any other process. */
std::vector<Call> foreign_calls(pid_t victim) {
  const auto pid = static_cast<unsigned long>(victim);
  constexpr unsigned long kInvalid = ~0UL;
  std::vector<Call> calls = {
      {"fork", SYS_clone, {SIGCHLD}},
      {"a thread", SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}},
      {"a copy in a user namespace", SYS_clone, {CLONE_PARENT | CLONE_NEWUSER | SIGCHLD}},
      {"clone3", SYS_clone3, {0, 0}},
      {"kill", SYS_kill, {pid, 0}},
      {"kill all", SYS_kill, {kInvalid, 0}},
      {"tkill", SYS_tkill, {pid, 0}},
      {"tgkill", SYS_tgkill, {pid, pid, 0}},
      {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {pid, 0, 0}},
      {"pidfd_open", SYS_pidfd_open, {pid, 0}},
      {"pidfd_send_signal", SYS_pidfd_send_signal, {kInvalid, 0, 0, 0}},
      {"pidfd_getfd", SYS_pidfd_getfd, {kInvalid, 0, 0}},
      {"ptrace", SYS_ptrace, {PTRACE_SEIZE, pid}},
      {"process_vm_readv", SYS_process_vm_readv, {pid, 0, 0, 0, 0, 0}},
      {"process_vm_writev", SYS_process_vm_writev, {pid, 0, 0, 0, 0, 0}},
      {"prlimit64", SYS_prlimit64, {pid, 7, 0, 0}},
      {"wait4", SYS_wait4, {kInvalid, 0, WNOHANG, 0}},
      {"setpriority", SYS_setpriority, {0, pid, 19}},
      {"execve", SYS_execve, {0, 0, 0}},
      {"openat", SYS_openat, {static_cast<unsigned long>(AT_FDCWD), 0, O_RDONLY}},
      {"socket", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
      {"connect", SYS_connect, {kInvalid, 0, 0}},
      {"bind", SYS_bind, {kInvalid, 0, 0}},
      {"memfd_create", SYS_memfd_create, {0, 0}},
      {"code", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, kInvalid, 0}},
      {"code of data", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
      {"dumpable", SYS_prctl, {PR_SET_DUMPABLE, 1}},
      {"setuid", SYS_setuid, {0}},
      {"unshare", SYS_unshare, {CLONE_NEWUSER}},
      {"io_uring_setup", SYS_io_uring_setup, {1, 0}},
      {"bpf", SYS_bpf, {0, 0, 0}},
  };
#if defined(__x86_64__)
  calls.push_back({"fork, the old call", SYS_fork});
  calls.push_back({"vfork", SYS_vfork});
#endif
  return calls;
}

/** What a template may do, and a copy not any more. */
const Call kTemplateCalls[] = {
    {"a copy", SYS_clone, {CLONE_PARENT | SIGCHLD}},
    {"ppoll", SYS_ppoll, {0, 0, 0, 0, 0}},
    {"getppid", SYS_getppid},
    {"epoll_create1", SYS_epoll_create1, {0}},
    {"a filter", SYS_seccomp, {~0UL, 0, 0}},
    {"its name", SYS_prctl, {PR_SET_NAME, 0}},
    {"its end with the parent", SYS_prctl, {PR_SET_PDEATHSIG, 0}},
};

/** Whether the call was stopped before it began: by the end of the process, which the sanitizers' filter spares. */
bool forbidden(pid_t pid, const Call& call) {
  const std::optional<long> result = make_call(pid, call);
  return !result.has_value() || *result == -EPERM;
}

/** This process's child with the name, once it has laid so many filters over those that this process has. */
pid_t confined(const std::string& name, int filters) {
  pid_t found = 0;
  eventually([&] {
    const std::vector<pid_t> living = children(name);
    if (living.size() != 1) return false;
    const int more = std::stoi(status_of(living[0], "Seccomp_filters")) - std::stoi(status_of(getpid(), "Seccomp_filters"));
    if (more == filters) found = living[0];
    return found != 0;
  });
  return found;
}

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

TEST(a_taken_over_copy_makes_no_process_reaches_none_and_gains_nothing) {
  std::vector<Call> calls = foreign_calls(getppid());
  calls.insert(calls.end(), std::begin(kTemplateCalls), std::end(kTemplateCalls));
  std::unique_ptr<TemplateServer> server;
  std::unique_ptr<Tunnel> tunnel;
  for (const Call& call : calls) {
    if (server == nullptr || children("ocvpn-session").empty()) {
      tunnel.reset();
      server = std::make_unique<TemplateServer>();
      tunnel = std::make_unique<Tunnel>(*server);
    }
    const pid_t session = confined("ocvpn-session", 2);
    CHECK_EQ(make_call(session, {"itself", SYS_getpid}).value_or(0), static_cast<long>(session));
    if (!forbidden(session, call)) fail(__FILE__, __LINE__, std::string("allowed: ") + call.name);
  }
}

TEST(a_taken_over_template_makes_copies_and_reaches_no_other_process) {
  std::unique_ptr<TemplateServer> server;
  for (const Call& call : foreign_calls(getppid())) {
    if (server == nullptr || children("ocvpn-template").empty()) server = std::make_unique<TemplateServer>();
    const pid_t pid = confined("ocvpn-template", 1);
    CHECK_EQ(make_call(pid, {"its parent", SYS_getppid}).value_or(0), static_cast<long>(getpid()));
    if (!forbidden(pid, call)) fail(__FILE__, __LINE__, std::string("allowed: ") + call.name);
  }
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
