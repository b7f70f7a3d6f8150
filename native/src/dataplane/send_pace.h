// How fast a burst may follow another one towards a client that reads datagram by datagram.
//
// A tun hands over 64 KiB at once, and one sendmsg() puts all of it into the client's UDP socket, whose buffer has room
// for some 70 such datagrams (net.core.rmem_default; the kernel gives room back a quarter at a time). The stock client
// takes 5 to 10 us for each, so that two super-packets in a row, which a window of 128 KiB makes, lose what does not fit.
// So what a session sends fills a bucket that leaks a tenth faster than the session took them lately. While more is in it
// than the client's socket has room for beside a super-packet, nothing follows: what comes is kept (frame_queue.h), where
// the inner TCP sees it, and small packets of other flows pass it. The leak follows the traffic, so that no rate is a
// limit: from 0.9 Gbit/s it grows a tenth each 4 ms as long as there is more to send. A faster leak loses more, a slower
// one idles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ocvpn::dataplane {

// Times are the loop's (clock.h); `now_ns` never goes back.
class SendPace {
 public:
  // No hold is shorter: the kernel's timer slack (50 us) would double it.
  static constexpr uint64_t kHoldNs = 50000;
  // The leak in tenths of the rate of the session.
  static constexpr uint64_t kLeakTenths = 11;
  // Bytes that may be on their way when a super-packet of 64 KiB follows.
  static constexpr uint64_t kRoom = 14000;
  // After a hold that ends so much too late there is none for a while: other processes want the CPU, and giving it up
  // costs more than the datagrams that are lost.
  static constexpr uint64_t kLateNs = 200000;
  static constexpr uint64_t kBackOffNs = 20000000;
  // The rate is that of the busiest of so many windows.
  static constexpr size_t kWindows = 4;
  static constexpr uint64_t kWindowNs = 4000000;
  // Bytes of a window that count at least (0.8 Gbit/s): a start is not held back.
  static constexpr uint64_t kLeast = 400000;
  // A client that takes as many (2.2 Gbit/s) reads in batches, and is not held.
  static constexpr uint64_t kMany = 1100000;

  // A packet left, so many bytes with it.
  void note_sent(size_t bytes, uint64_t now_ns);
  // A hold that should have ended at `due_ns` is over.
  void end_hold(uint64_t due_ns, uint64_t now_ns);
  // How long what was sent should pass on before more follows, nanoseconds; 0: more may follow.
  uint64_t wait_ns(uint64_t now_ns);

 private:
  // Bytes of a window, kLeast or more.
  uint64_t rate() const;
  // What the bucket loses in so long, bytes.
  uint64_t leak_of(uint64_t ns) const;
  void leak(uint64_t now_ns);
  void turn_window(uint64_t now_ns);

  uint64_t level_ = 0;  // bytes
  uint64_t leaked_ns_ = 0;
  uint64_t no_hold_until_ns_ = 0;
  uint64_t sent_ = 0;  // in this window, bytes
  uint64_t window_began_ns_ = 0;
  std::array<uint64_t, kWindows> windows_{};  // bytes of those before
  size_t window_ = 0;
};

}  // namespace ocvpn::dataplane
