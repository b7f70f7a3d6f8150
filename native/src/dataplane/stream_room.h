// How much the client's TCP connection takes, and so where packets wait for it.
//
// What lies in a socket, or in records that are sealed, leaves in order: a ping behind a megabyte of bulk waits for all of
// it. So the socket refuses more while what it takes in 2 ms has not been sent (TCP_NOTSENT_LOWAT; less costs a fast line a
// tenth of its CPU for wake-ups), no more is sealed than it took at once lately, and packets wait in the frame queue (frame_queue.h), where small ones of other flows pass them.
// There they wait for a quarter of a second at most: beyond what the connection took in that time they are dropped, so
// that the inner TCP learns of it. A line so fast that the whole frame queue is soon gone loses nothing: the tun's queue
// takes what follows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ocvpn::dataplane {

// Times are the loop's (clock.h); `now_ns` never goes back.
class StreamRoom {
 public:
  // Of what has not been sent, at least and at most. The kernel adds what it has in one buffer: a segment or two on a slow
  // line, 64 KiB on a fast one.
  static constexpr uint32_t kLeastUnsent = 16 * 1024;
  static constexpr uint32_t kMostUnsent = 1024 * 1024;
  // Records wait in the TLS stream until they are worth a system call; half its output limit, so that one more
  // super-packet always fits.
  static constexpr size_t kMostBatch = 128 * 1024;
  static constexpr size_t kLeastBatch = 16 * 1024;
  // What may wait for a line of any speed: a line of 8 Mbit/s takes it in a quarter of a second.
  static constexpr size_t kLeastQueue = 256 * 1024;
  // What a fast line (400 Mbit/s) takes in a quarter of a second: it empties a full frame queue within 20 ms.
  static constexpr size_t kFastQueue = 12 * 1024 * 1024;
  // Half of the time that packets may wait.
  static constexpr uint64_t kPeriodNs = 125000000;
  // 2 ms of a period.
  static constexpr uint64_t kUnsentShare = 62;

  // The socket took so many bytes; `all`: of all that there were.
  void note(size_t taken, bool all, uint64_t now_ns);
  // Bytes of records that are worth a system call.
  size_t batch() const { return batch_; }
  // Bytes that the socket may hold before they are sent, a power of two: it changes seldom.
  uint32_t unsent_bytes() const { return unsent_; }
  // Whether the next packet is dropped when so many bytes wait; `full`: there is no room for it where they wait.
  bool drops(size_t waiting, bool full, uint64_t now_ns);

 private:
  void turn_period(uint64_t now_ns);
  // Bytes of packets that may wait.
  size_t queue_bytes() const;

  size_t batch_ = kMostBatch;
  uint32_t unsent_ = kLeastUnsent;
  size_t taken_ = 0;         // in this period
  size_t taken_before_ = 0;  // in the one before
  uint64_t period_began_ns_ = 0;
};

}  // namespace ocvpn::dataplane
