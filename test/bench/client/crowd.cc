#include "crowd.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include "echo.h"
#include "pkt/cstp.h"

namespace ocvpn::bench {

namespace {

constexpr uint64_t kSignal = UINT64_MAX;
constexpr uint64_t kOpened = UINT64_MAX - 1;
constexpr uint64_t kTick = UINT64_MAX - 2;

/** Of one session. */
constexpr unsigned kTries = 3;

constexpr unsigned kTickMs = 50;
constexpr unsigned kTicksPerSecond = 1000 / kTickMs;
/** How long answers may take before they count as lost. */
constexpr uint64_t kPatienceTicks = 10 * kTicksPerSecond;

io::UniqueFd made(int fd, const char* what) {
  if (fd < 0) throw std::runtime_error(std::string(what) + " failed");
  return io::UniqueFd(fd);
}

uint64_t take_count(const io::UniqueFd& fd) {
  uint64_t count = 0;
  return read(fd.get(), &count, sizeof count) == sizeof count ? count : 0;
}

/** Sends one packet of a type over a channel of the session. */
void send(Session* session, bool stream, pkt::PacketType type, const uint8_t* data, size_t size) {
  uint8_t frame[pkt::kCstpHeaderSize + kEchoPacket];
  const size_t header = stream ? pkt::kCstpHeaderSize : pkt::kDtlsTypeSize;
  if (stream) pkt::write_cstp_header({frame, header}, type, size);
  else frame[0] = static_cast<uint8_t>(type);
  std::copy_n(data, size, frame + header);
  (stream ? session->stream_channel : session->datagram_channel)->write(frame, header + size);
  (stream ? session->stream : session->datagrams)->flush();
}

/** Calls `visit` for this tick's share of 0…count-1, so that each gets one call in `period` ticks. */
template <typename Visit>
void for_share(uint64_t tick, uint64_t period, size_t count, Visit visit) {
  for (size_t i = tick % period; i < count; i += period) visit(i);
}

}  // namespace

Crowd::Crowd(const Contexts& contexts, const Arguments& arguments)
    : contexts_(contexts),
      arguments_(arguments),
      sessions_(arguments.clients),
      epoll_(made(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      ticker_(made(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")),
      opened_event_(made(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

Crowd::~Crowd() { stop_opening(); }

void Crowd::stop_opening() {
  next_ = arguments_.clients;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Crowd::watch(int fd, uint64_t data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) throw std::runtime_error("epoll_ctl failed");
}

/** As a real client, which tries again when a busy server was too slow. Null: `failure` is what the last try threw. */
std::unique_ptr<Session> Crowd::try_to_open(std::exception_ptr* failure) {
  for (unsigned i = 0; i < kTries; ++i) {
    try {
      return open_session(contexts_, arguments_);
    } catch (const Refused&) {
      *failure = std::current_exception();
      return nullptr;
    } catch (const std::exception& error) {
      *failure = std::current_exception();
      std::fprintf(stderr, "try %u: %s\n", i + 1, error.what());
    }
  }
  return nullptr;
}

void Crowd::open_some() {
  for (unsigned index; (index = next_++) < arguments_.clients;) {
    std::exception_ptr failure;
    std::unique_ptr<Session> session = try_to_open(&failure);
    if (!session) next_ = arguments_.clients;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!session && !failure_) failure_ = failure;
    if (session) opened_.push_back(index);
    sessions_[index] = std::move(session);
    const uint64_t one = 1;
    if (write(opened_event_.get(), &one, sizeof one) < 0) next_ = arguments_.clients;
  }
}

void Crowd::adopt_opened() {
  take_count(opened_event_);
  std::vector<size_t> opened;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    opened.swap(opened_);
  }
  for (const size_t index : opened) {
    Session& session = *sessions_[index];
    watch(session.stream->fd(), index);
    if (session.dtls) watch(session.datagrams->fd(), index);
    open_ += 1;
    serve(index);  // what came with the last bytes of the handshake
  }
}

/** Reads what waits. False when the session has ended. */
bool Crowd::read_channels(Session* session) {
  RecordReader reader(session);
  pkt::MutView frame;
  Arrived arrived;
  const auto count = [&] { counts_.echo_replies += is_echo_reply(frame.from(pkt::kVnetHeaderSize)) ? 1 : 0; };
  if (session->stream->fill() == Transport::Fill::kEnd) return false;
  while ((arrived = reader.next_tls(&frame)) == Arrived::kData) count();
  if (arrived == Arrived::kEnd) return false;
  if (!session->dtls) return true;
  while (session->datagrams->fill() == Transport::Fill::kData) {
    while ((arrived = reader.next_dtls(&frame)) == Arrived::kData) count();
    if (arrived == Arrived::kEnd) return false;
  }
  return true;
}

void Crowd::serve(size_t index) {
  std::unique_ptr<Session>& session = sessions_[index];
  if (!session || read_channels(session.get())) return;
  counts_.dpd_answers += session->liveness.answered;
  counts_.dpd_asked += session->liveness.asked;
  session.reset();
  counts_.ended += 1;
}

void Crowd::ask(Session* session) {
  send(session, true, pkt::PacketType::kDpdOut, nullptr, 0);
  if (session->dtls) send(session, false, pkt::PacketType::kDpdOut, nullptr, 0);
  counts_.dpd_requests += session->dtls ? 2 : 1;
}

void Crowd::send_echo(Session* session, size_t index) {
  uint8_t packet[kEchoPacket];
  write_echo_request(session->grant.address, arguments_.target, static_cast<uint16_t>(index),
                     static_cast<uint16_t>(tick_), packet);
  send(session, !session->dtls, pkt::PacketType::kData, packet, sizeof packet);
  counts_.echo_requests += 1;
}

void Crowd::send_requests() {
  if (arguments_.dpd > 0) {
    for_share(tick_, uint64_t{arguments_.dpd} * kTicksPerSecond, sessions_.size(), [this](size_t i) {
      if (sessions_[i]) ask(sessions_[i].get());
    });
  }
  if (!echoing_) return;
  const uint64_t period = std::max(1u, arguments_.every / kTickMs);
  for_share(tick_, period, std::min<size_t>(arguments_.active, sessions_.size()), [this](size_t i) {
    if (sessions_[i]) send_echo(sessions_[i].get(), i);
  });
}

void Crowd::tick() {
  take_count(ticker_);
  tick_ += 1;  // one only after a pause of this process: late requests are not sent in one burst
  if (open_ < sessions_.size()) return;
  if (report_by_ == 0) return send_requests();
  const CrowdCounts now = counts();
  const bool complete = now.echo_replies >= now.echo_requests && now.dpd_answers >= now.dpd_requests;
  if (!complete && tick_ < report_by_) return;
  report();
  report_by_ = 0;
}

CrowdCounts Crowd::counts() const {
  CrowdCounts total = counts_;
  for (const auto& session : sessions_) {
    if (!session) continue;
    total.dpd_answers += session->liveness.answered;
    total.dpd_asked += session->liveness.asked;
  }
  return total;
}

void Crowd::report() const {
  const CrowdCounts now = counts();
  std::printf("echo %lu of %lu dpd %lu of %lu asked %lu ended %u\n", now.echo_replies, now.echo_requests,
              now.dpd_answers, now.dpd_requests, now.dpd_asked, now.ended);
  std::fflush(stdout);
}

/** False: it is time to end. */
bool Crowd::on_signal(int signal_fd) {
  uint8_t signal = 0;
  if (read(signal_fd, &signal, sizeof signal) != sizeof signal) return true;
  if (signal == SIGUSR1) echoing_ = true;
  else if (signal == SIGUSR2) report_by_ = tick_ + kPatienceTicks;
  else return false;
  if (signal == SIGUSR2) echoing_ = false;
  return true;
}

void Crowd::run(int signal_fd) {
  const auto start = std::chrono::steady_clock::now();
  itimerspec period{};
  period.it_value.tv_nsec = period.it_interval.tv_nsec = kTickMs * 1000000;
  timerfd_settime(ticker_.get(), 0, &period, nullptr);
  watch(signal_fd, kSignal);
  watch(opened_event_.get(), kOpened);
  watch(ticker_.get(), kTick);
  for (unsigned i = 0; i < arguments_.parallel; ++i) threads_.emplace_back([this] { open_some(); });
  bool told = false;
  for (;;) {
    epoll_event events[64];
    const int ready = epoll_wait(epoll_.get(), events, 64, -1);
    if (ready < 0 && errno != EINTR) throw std::runtime_error("epoll_wait failed");
    for (int i = 0; i < ready; ++i) {
      const uint64_t data = events[i].data.u64;
      if (data == kSignal && !on_signal(signal_fd)) return;
      if (data == kOpened) adopt_opened();
      else if (data == kTick) tick();
      else if (data < sessions_.size()) serve(data);
    }
    if (told || open_ < sessions_.size()) continue;
    told = true;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("opened %u in %.3f s\n", open_, seconds.count());
    std::fflush(stdout);
  }
}

unsigned Crowd::log_out() {
  stop_opening();
  for (const auto& session : sessions_)
    if (session) session->log_out();
  return counts_.ended;
}

}  // namespace ocvpn::bench
