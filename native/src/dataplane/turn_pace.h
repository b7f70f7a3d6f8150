// When the packet loop looks at its descriptors again: interrupt moderation, as network cards do it.
//
// A client that sends one packet at a time wakes the loop for each, and then there is nothing to join: one recv, one
// write to the tun and two context switches a packet. While packets come faster than kBusyPackets per kWindowNs, a turn
// therefore begins kPeriodNs after the one before at the earliest. What arrived meanwhile shares the system calls. Below
// that rate (a ping, request and response, a shell) no turn is ever delayed; above it a packet waits one period at most,
// and a loop that is busy for longer than that does not wait at all.
#pragma once

#include <cstdint>

namespace ocvpn::dataplane {

// Times are the loop's (clock.h).
class TurnPace {
 public:
  static constexpr uint64_t kWindowNs = 1000000;
  // Above what a connection that waits for each answer reaches (two packets a round trip).
  static constexpr uint64_t kBusyPackets = 12;
  // The kernel adds its timer slack (50 us unless somebody changed it).
  static constexpr uint64_t kPeriodNs = 100000;

  // A turn begins.
  void begin_turn(uint64_t now_ns);
  // One packet either way, of a tunnel that may be paced.
  void note_packet() { ++packets_; }
  // After a turn: how long not to look at the descriptors, nanoseconds.
  uint64_t pause_ns(uint64_t now_ns) const;

 private:
  bool busy_ = false;  // by the window before
  uint64_t packets_ = 0;
  uint64_t window_began_ns_ = 0;
  uint64_t turn_began_ns_ = 0;
};

}  // namespace ocvpn::dataplane
