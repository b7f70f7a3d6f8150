#include "dataplane/loop.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace ocvpn::dataplane {

Loop::Loop(int channel, Clock clock, std::shared_ptr<DtlsContexts> dtls_contexts)
    : channel_(channel),
      workspace_(clock, channel, &channel_watch_, std::move(dtls_contexts)),
      payload_(new uint8_t[kMaxPayload]) {
  channel_watch_.kind = WatchKind::channel;
}

Loop::~Loop() {
  sessions_.clear();
  graveyard_.clear();
  close(channel_);
}

bool Loop::ready() const { return workspace_.epoll.ready() && workspace_.udp_receiver.ready(); }

void Loop::open(std::unique_ptr<TunnelSetup> setup) {
  uint32_t id = setup->id;
  auto owned = std::make_unique<Session>(std::move(setup), &workspace_);
  Session* session = owned.get();
  sessions_[id] = std::move(owned);
  session->start();
  remove_finished(session);
}

void Loop::run() {
  stopping_ = !workspace_.epoll.add(&channel_watch_, channel_, EPOLLIN);
  while (!stopping_) turn();
  end_all();
}

void Loop::turn() {
  epoll_event events[kEventsPerTurn];
  int count = wait(events);
  workspace_.now_ns = workspace_.clock.now_ns();
  workspace_.pace.begin_turn(workspace_.now_ns);
  // A negative count is EINTR only: a debugger or a stray signal.
  for (int i = 0; i < count; ++i) {
    auto* watch = static_cast<Watch*>(events[i].data.ptr);
    if (watch->kind == WatchKind::channel) {
      on_channel(events[i].events);
    } else {
      watch->session->on_event(watch->kind, events[i].events);
      remove_finished(watch->session);
    }
  }
  workspace_.timers.advance(workspace_.now_ms(), [this](pkt::Timer& timer) {
    auto* session = static_cast<Session*>(timer.owner);
    session->on_timer(timer);
    remove_finished(session);
  });
  release_holds();
  graveyard_.clear();
}

int Loop::wait(epoll_event* events) {
  const uint64_t now_ns = pause();
  int64_t wait_ms = workspace_.clock.to_real_ms(workspace_.timers.next_ms(now_ns / 1000000));
  wait_ms = std::min<int64_t>(wait_ms, 60000);
  if (workspace_.holds.empty()) return workspace_.epoll.wait(events, kEventsPerTurn, static_cast<int>(wait_ms));
  const uint64_t due_ns = workspace_.holds.next_ns();
  uint64_t wait_ns = due_ns > now_ns ? workspace_.clock.to_real_ns(due_ns - now_ns) : 0;
  if (wait_ms >= 0) wait_ns = std::min<uint64_t>(wait_ns, static_cast<uint64_t>(wait_ms) * 1000000);
  return workspace_.epoll.wait_ns(events, kEventsPerTurn, wait_ns);
}

void Loop::release_holds() {
  uint32_t id = 0;
  while (workspace_.holds.pop(workspace_.now_ns, &id)) {
    auto found = sessions_.find(id);
    if (found != sessions_.end()) found->second->end_hold();
  }
}

// Lets packets gather when they come one by one. The time afterwards, nanoseconds.
uint64_t Loop::pause() {
  uint64_t now_ns = workspace_.clock.now_ns();
  uint64_t pause_ns = workspace_.pace.pause_ns(now_ns);
  if (pause_ns == 0) return now_ns;
  workspace_.clock.sleep(pause_ns);
  uint64_t due_ns = now_ns + pause_ns;
  now_ns = workspace_.clock.now_ns();
  workspace_.pace.end_pause(due_ns, now_ns);
  return now_ns;
}

void Loop::on_channel(uint32_t events) {
  if ((events & EPOLLOUT) != 0) workspace_.events.on_writable();
  for (int i = 0; i < kCommandsPerTurn && !stopping_; ++i) {
    Command command;
    int fd = -1;
    int got = receive_command(channel_, &command, payload_.get(), &fd);
    if (got == 0) return;
    if (got < 0) {
      stopping_ = true;  // the owner is gone
      return;
    }
    on_command(command, fd);
  }
}

void Loop::on_command(const Command& command, int fd) {
  if (command.type == CommandType::open) return open(std::unique_ptr<TunnelSetup>(command.setup));
  if (command.type == CommandType::shutdown) {
    stopping_ = true;
    return;
  }
  auto found = sessions_.find(command.id);
  if (found == sessions_.end()) {  // it ended while the command was on its way
    if (fd >= 0) close(fd);
    return;
  }
  Session* session = found->second.get();
  if (command.type == CommandType::attach_udp && fd >= 0) {
    session->attach_udp(fd, command.hello, payload_.get(), command.payload_length);
  } else if (command.type == CommandType::sign_done) {
    session->complete_sign(command.request_id, command.refused ? nullptr : payload_.get(), command.payload_length);
  } else if (command.type == CommandType::terminate) {
    session->terminate(command.disconnect, command.reason);
  }
  remove_finished(session);
}

void Loop::remove_finished(Session* session) {
  if (!session->finished()) return;
  auto found = sessions_.find(session->id());
  if (found == sessions_.end() || found->second.get() != session) return;
  graveyard_.push_back(std::move(found->second));
  sessions_.erase(found);
}

void Loop::end_all() {
  for (auto& [id, session] : sessions_) session->terminate(false, CloseReason::server_disconnect);
  sessions_.clear();
  graveyard_.clear();
  // The last events leave if the owner has room for them; it may be gone already.
  workspace_.events.on_writable();
}

}  // namespace ocvpn::dataplane
