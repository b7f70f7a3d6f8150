// A VPN client for measuring servers: batched everywhere, so that the server is what limits.
//
//   bench-client --server HOST --user NAME <password                 one session with a tun device
//   bench-client --server HOST --user NAME --clients N <password     N sessions without one
//
// Prints "connected ADDRESS mtu N over DTLS|TLS" and "own|library records" (own_channels.h), or "opened N in S s", and
// stays until SIGINT or SIGTERM. The sessions without a device send echo requests from SIGUSR1 on (--active, --target);
// at SIGUSR2 no more requests are sent, and when the answers are there: "echo A of N dpd A of N asked N ended N"
// (answers, requests; those of the server).
#include <csignal>
#include <cstdio>
#include <exception>

#include "addon.h"
#include "arguments.h"
#include "crowd.h"
#include "pump.h"
#include "session.h"
#include "signals.h"

namespace {

using namespace ocvpn;

void run_one(const bench::Contexts& contexts, const bench::Arguments& arguments, int stop_fd) {
  io::Tun tun = bench::open_device(arguments.device);
  const std::unique_ptr<bench::Session> session = bench::open_session(contexts, arguments);
  const bench::Channel& data = session->dtls ? *session->datagram_channel : *session->stream_channel;
  std::printf("connected %s mtu %u over %s\n%s records\n", session->grant.address.c_str(), session->grant.mtu,
              session->dtls ? "DTLS" : "TLS", data.own() ? "own" : "library");
  std::fflush(stdout);
  bench::Pump pump(session.get(), std::move(tun));
  pump.run(stop_fd);
  session->log_out();
  std::printf("%s\n", pump.summary().c_str());
}

void run_crowd(const bench::Contexts& contexts, const bench::Arguments& arguments, int signal_fd) {
  bench::Crowd crowd(contexts, arguments);
  crowd.run(signal_fd);
  std::printf("%u ended by the server\n", crowd.log_out());
}

}  // namespace

int ocvpn::bench::run(int argc, char** argv) {
  try {
    std::signal(SIGPIPE, SIG_IGN);
    const bench::Arguments arguments = bench::read_arguments(argc, argv);
    const int stop_fd = bench::signal_descriptor(arguments.clients > 0);
    const bench::Contexts contexts = bench::make_contexts(arguments);
    (arguments.clients > 0 ? run_crowd : run_one)(contexts, arguments, stop_fd);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-client: %s\n", error.what());
    return 1;
  }
}
