#include "dataplane/workspace.h"

#include <linux/time_types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ocvpn::dataplane {

EpollSet::EpollSet() : fd_(epoll_create1(EPOLL_CLOEXEC)) {}

EpollSet::~EpollSet() {
  if (fd_ >= 0) close(fd_);
}

bool EpollSet::add(Watch* watch, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watch;
  if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
  watch->fd = fd;
  watch->events = events;
  return true;
}

void EpollSet::set(Watch* watch, uint32_t events) {
  if (watch->fd < 0 || watch->events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.ptr = watch;
  // MOD of a registered descriptor fails for lack of memory only; the next call tries again.
  if (epoll_ctl(fd_, EPOLL_CTL_MOD, watch->fd, &event) == 0) watch->events = events;
}

void EpollSet::remove(Watch* watch) {
  if (watch->fd < 0) return;
  epoll_ctl(fd_, EPOLL_CTL_DEL, watch->fd, nullptr);
  watch->fd = -1;
  watch->events = 0;
}

int EpollSet::wait_ns(epoll_event* events, int capacity, uint64_t timeout_ns) {
  const __kernel_timespec time{static_cast<long long>(timeout_ns / 1000000000u), static_cast<long long>(timeout_ns % 1000000000u)};
  const long count = syscall(SYS_epoll_pwait2, fd_, events, capacity, &time, nullptr, sizeof(uint64_t));
  if (count >= 0 || errno == EINTR) return static_cast<int>(count);
  return wait(events, capacity, static_cast<int>((timeout_ns + 999999) / 1000000));
}

bool HoldQueue::pop(uint64_t now_ns, uint32_t* session) {
  if (holds_.empty() || holds_.top().until_ns > now_ns) return false;
  *session = holds_.top().session;
  holds_.pop();
  return true;
}

void EventQueue::post(const Event& event, const uint8_t* payload) {
  if (waiting_.empty() && send_event(socket_, event, payload)) return;
  waiting_.push_back({event, {payload, payload + event.payload_length}});
  epoll_->set(watch_, EPOLLIN | EPOLLOUT);
}

void EventQueue::on_writable() {
  while (!waiting_.empty() && send_event(socket_, waiting_.front().event, waiting_.front().payload.data())) {
    waiting_.pop_front();
  }
  if (waiting_.empty()) epoll_->set(watch_, EPOLLIN);
}

}  // namespace ocvpn::dataplane
