// When the packet loop looks at its descriptors again: interrupt moderation, as network cards do it.
//
// A client that sends one packet at a time wakes the loop for each, and then there is nothing to join: one recv, one
// write to the tun and two context switches a packet. While packets come faster than kBusyPackets per kWindowNs, a turn
// therefore begins kPeriodNs after the one before at the earliest. What arrived meanwhile shares the system calls. Below
// that rate (a ping, request and response, a shell) no turn is ever delayed; above it a packet waits one period at most.
// A turn that found much to do (a super-packet from the tun, a queue that grew while another process ran) or lasted
// longer than a period is followed by the next at once: its work was shared already. Nor does a loop pause for a while
// after a pause that lasted too long: other processes want the CPU, and giving it up costs more than it saves.
#pragma once

#include <cstdint>

namespace ocvpn::dataplane {

// Times are the loop's (clock.h).
class TurnPace {
 public:
  static constexpr uint64_t kWindowNs = 1000000;
  // Above what a connection that waits for each answer reaches (two packets a round trip).
  static constexpr uint64_t kBusyPackets = 12;
  // Packets of a turn that leave little to share.
  static constexpr uint64_t kFullTurn = 32;
  // The kernel adds its timer slack (50 us unless somebody changed it).
  static constexpr uint64_t kPeriodNs = 100000;
  // A pause that ends so much too late,
  static constexpr uint64_t kLateNs = 200000;
  // and for how long there is none after it.
  static constexpr uint64_t kBackOffNs = 20000000;

  // A turn begins.
  void begin_turn(uint64_t now_ns);
  // One packet either way, of a tunnel that may be paced.
  void note_packet() {
    ++packets_;
    ++turn_packets_;
  }
  // After a turn: how long not to look at the descriptors, nanoseconds.
  uint64_t pause_ns(uint64_t now_ns) const;
  // After a pause that should have ended at `due_ns`.
  void end_pause(uint64_t due_ns, uint64_t now_ns);

 private:
  bool busy_ = false;  // by the window before
  uint64_t packets_ = 0;       // of this window
  uint64_t turn_packets_ = 0;  // of this turn
  uint64_t window_began_ns_ = 0;
  uint64_t turn_began_ns_ = 0;
  uint64_t no_pause_until_ns_ = 0;
};

}  // namespace ocvpn::dataplane
