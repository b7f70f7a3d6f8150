// A VPN client for measuring servers: batched everywhere, so that the server is what limits.
//
//   bench-client --server HOST --user NAME <password                 one session with a tun device
//   bench-client --server HOST --user NAME --clients N <password     N sessions without one
//
// Prints "connected ADDRESS mtu N over DTLS|TLS" or "opened N in S s" and stays until SIGINT or SIGTERM.
#include <sys/signalfd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>

#include "arguments.h"
#include "crowd.h"
#include "pump.h"
#include "session.h"

namespace {

using namespace ocvpn;

/** A descriptor that becomes readable when the process is asked to end. Before any thread is made. */
io::UniqueFd stop_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return io::UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

void run_one(const bench::Contexts& contexts, const bench::Arguments& arguments, int stop_fd) {
  io::Tun tun = bench::open_device(arguments.device);
  const std::unique_ptr<bench::Session> session = bench::open_session(contexts, arguments);
  std::printf("connected %s mtu %u over %s\n", session->grant.address.c_str(), session->grant.mtu,
              session->dtls ? "DTLS" : "TLS");
  std::fflush(stdout);
  bench::Pump pump(session.get(), std::move(tun));
  pump.run(stop_fd);
  session->log_out();
  std::printf("%s\n", pump.summary().c_str());
}

void run_crowd(const bench::Contexts& contexts, const bench::Arguments& arguments, int stop_fd) {
  const auto start = std::chrono::steady_clock::now();
  bench::Crowd crowd = bench::open_crowd(contexts, arguments);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("opened %u in %.3f s\n", arguments.clients, seconds.count());
  std::fflush(stdout);
  const unsigned ended = bench::hold_crowd(&crowd, stop_fd);
  for (const auto& session : crowd)
    if (session) session->log_out();
  std::printf("%u ended by the server\n", ended);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const io::UniqueFd stop = stop_descriptor();
    std::signal(SIGPIPE, SIG_IGN);
    const bench::Arguments arguments = bench::read_arguments(argc, argv);
    const bench::Contexts contexts = bench::make_contexts();
    (arguments.clients > 0 ? run_crowd : run_one)(contexts, arguments, stop.get());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-client: %s\n", error.what());
    return 1;
  }
}
