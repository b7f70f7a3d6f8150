#include "crowd.h"

#include <sys/epoll.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "io/unique_fd.h"
#include "records.h"

namespace ocvpn::bench {

namespace {

/** The work of the threads that open sessions. */
struct Opening {
  const Contexts& contexts;
  const Arguments& arguments;
  Crowd crowd;
  std::atomic<unsigned> next{0};
  std::mutex mutex;
  std::exception_ptr failure;

  void work() {
    for (unsigned index; (index = next++) < arguments.clients;) {
      try {
        crowd[index] = open_session(contexts, arguments);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
        next = arguments.clients;
      }
    }
  }
};

void watch(int epoll, int fd, uint64_t data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) throw std::runtime_error("epoll_ctl failed");
}

/** Reads what waits; data is dropped. False when the session has ended. */
bool serve(Session* session) {
  RecordReader reader(session);
  pkt::MutView frame;
  Arrived arrived;
  if (session->stream->fill() == Transport::Fill::kEnd) return false;
  while ((arrived = reader.next_tls(&frame)) == Arrived::kData) continue;
  if (arrived == Arrived::kEnd) return false;
  if (!session->dtls) return true;
  session->datagrams->fill();
  while ((arrived = reader.next_dtls(&frame)) == Arrived::kData) continue;
  return arrived != Arrived::kEnd;
}

}  // namespace

Crowd open_crowd(const Contexts& contexts, const Arguments& arguments) {
  Opening opening{contexts, arguments, Crowd(arguments.clients), {}, {}, {}};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < arguments.parallel; ++i) threads.emplace_back([&opening] { opening.work(); });
  for (std::thread& thread : threads) thread.join();
  if (opening.failure) std::rethrow_exception(opening.failure);
  return std::move(opening.crowd);
}

unsigned hold_crowd(Crowd* crowd, int stop_fd) {
  constexpr uint64_t kStop = UINT64_MAX;
  const io::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  watch(epoll.get(), stop_fd, kStop);
  for (size_t i = 0; i < crowd->size(); ++i) {
    watch(epoll.get(), (*crowd)[i]->stream->fd(), i);
    if ((*crowd)[i]->dtls) watch(epoll.get(), (*crowd)[i]->datagrams->fd(), i);
  }
  unsigned ended = 0;
  for (;;) {
    epoll_event events[64];
    const int ready = epoll_wait(epoll.get(), events, 64, -1);
    if (ready < 0 && errno != EINTR) throw std::runtime_error("epoll_wait failed");
    for (int i = 0; i < ready; ++i) {
      if (events[i].data.u64 == kStop) return ended;
      std::unique_ptr<Session>& session = (*crowd)[events[i].data.u64];
      if (!session || serve(session.get())) continue;
      session.reset();
      ended += 1;
    }
  }
}

}  // namespace ocvpn::bench
