#include "signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <stdexcept>

namespace ocvpn::bench {

namespace {

int pipe_of_signals[2] = {-1, -1};

void on_signal(int number) {
  const int error = errno;
  const auto byte = static_cast<uint8_t>(number);
  // A full pipe holds signals enough.
  [[maybe_unused]] const ssize_t written = write(pipe_of_signals[1], &byte, sizeof byte);
  errno = error;
}

}  // namespace

int signal_descriptor(bool crowd) {
  if (pipe2(pipe_of_signals, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2 failed");
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) {
    if (!crowd && (number == SIGUSR1 || number == SIGUSR2)) continue;
    sigaction(number, &action, nullptr);
    sigaddset(&wanted, number);
  }
  // Node blocks SIGUSR1 in its first thread.
  pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr);
  return pipe_of_signals[0];
}

}  // namespace ocvpn::bench
