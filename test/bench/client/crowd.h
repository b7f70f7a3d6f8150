// Many sessions from one process, without tun devices: for logins per second, memory per client, and servers that hold
// thousands.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "arguments.h"
#include "records.h"
#include "session.h"

namespace ocvpn::bench {

/** What happened in all sessions together. */
struct CrowdCounts {
  uint64_t echo_requests = 0;
  uint64_t echo_replies = 0;
  /** Liveness requests of ours, and answers. */
  uint64_t dpd_requests = 0;
  uint64_t dpd_answers = 0;
  /** Those of the server, all answered. */
  uint64_t dpd_asked = 0;
  /** Sessions that the server ended. */
  unsigned ended = 0;
};

/**
 * Opens `arguments.clients` sessions, `arguments.parallel` at a time, and serves those that are open meanwhile and
 * afterwards: it answers liveness requests, asks itself every `dpd` seconds over each channel, and between SIGUSR1 and
 * SIGUSR2 the first `active` sessions send an echo request every `every` milliseconds. Requests are spread evenly over
 * time. One thread serves, so that the clients of thousands cost the machine little.
 */
class Crowd {
 public:
  Crowd(const Contexts& contexts, const Arguments& arguments);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  /** Until a signal ends it (`signal_fd`, signals.h). Throws what opening a session threw first. */
  void run(int signal_fd);
  /** Logs out; then the number of sessions that the server has ended. */
  unsigned log_out();

 private:
  std::unique_ptr<Session> try_to_open(std::exception_ptr* failure);
  void open_some();
  void stop_opening();
  void adopt_opened();
  void serve(size_t index);
  bool read_channels(Session* session);
  bool on_signal(int signal_fd);
  void tick();
  void send_requests();
  void ask(Session* session);
  void send_echo(Session* session, size_t index);
  void watch(int fd, uint64_t data);
  CrowdCounts counts() const;
  void report() const;

  const Contexts& contexts_;
  const Arguments& arguments_;
  std::vector<std::unique_ptr<Session>> sessions_;
  io::UniqueFd epoll_;
  io::UniqueFd ticker_;
  unsigned open_ = 0;
  uint64_t tick_ = 0;
  CrowdCounts counts_;
  bool echoing_ = false;
  /** Tick at which the counts are told at the latest; 0: nobody waits for them. */
  uint64_t report_by_ = 0;

  // Shared with the threads that open.
  std::vector<std::thread> threads_;
  std::atomic<unsigned> next_{0};
  io::UniqueFd opened_event_;
  std::mutex mutex_;
  std::vector<size_t> opened_;
  std::exception_ptr failure_;
};

}  // namespace ocvpn::bench
