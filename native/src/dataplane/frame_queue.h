// Frames of one tun that were read while nothing may follow: bursts are spread (send_pace.h), the session's rate is used
// up, or the client's TCP connection takes no more (stream_room.h). In their order.
//
// A ping, a query or the first packet of a connection should not wait behind another flow's bulk. So the tun is read
// meanwhile, and a small packet of a flow of which nothing waits here may go first; everything else is kept. Packets
// of one flow never change order. Flows are told apart by a byte of their hash: two that share it wait for each other.
// Beyond the bound the tun is not read, and its own queue is the queue that the inner TCP sees, or what comes is dropped:
// Session::drops_next() says which.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "pkt/view.h"
#include "pkt/vnet_header.h"

namespace ocvpn::dataplane {

class FrameQueue {
 public:
  // Of a packet that may go first, bytes.
  static constexpr size_t kLightBytes = 300;
  // What a window of 1 MB fills; what is not filled is no memory.
  static constexpr size_t kBytes = 16 * pkt::kMaxTunFrame;
  static constexpr size_t kFrames = 1024;

  bool empty() const { return count_ == 0; }
  // Of what waits.
  size_t bytes() const { return bytes_; }
  // Where the next frame may be read to (pkt::kMaxTunFrame bytes); null: full.
  uint8_t* room();
  // Whether the frame at room() may leave before those that wait.
  bool may_pass(pkt::ConstView frame) const;
  // The frame at room() waits.
  void keep(size_t length);
  // The one that waits longest; not when empty. It stays where it is until room() is written to.
  pkt::MutView take();
  // Gives its memory back if nothing waits.
  void release();

 private:
  struct Frame {
    uint32_t offset;
    uint32_t length;
    uint8_t flow;
  };
  // The bytes are not initialized: pages that no frame reached cost nothing.
  struct Store {
    std::array<uint16_t, 256> waiting{};  // frames of each flow
    std::array<Frame, kFrames> frames;
    uint8_t bytes[kBytes];
  };

  std::unique_ptr<Store> store_;
  size_t first_ = 0;  // in frames
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t tail_ = 0;  // in bytes: behind the frame that came last
};

}  // namespace ocvpn::dataplane
