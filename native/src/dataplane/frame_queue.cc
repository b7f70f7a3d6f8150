#include "dataplane/frame_queue.h"

#include "pkt/flow_hash.h"
#include "pkt/ip_packet.h"

namespace ocvpn::dataplane {

namespace {

// What is no packet belongs to a flow, too: it is counted and dropped in its turn.
constexpr uint8_t kNoFlow = 0;

uint8_t flow_of(pkt::ConstView frame) {
  pkt::IpPacket ip;
  if (frame.size() < pkt::kVnetHeaderSize) return kNoFlow;
  const pkt::ConstView packet = frame.from(pkt::kVnetHeaderSize);
  if (pkt::parse_ip(packet, &ip) != pkt::IpError::kNone) return kNoFlow;
  return static_cast<uint8_t>(pkt::flow_hash(packet, ip) >> 56);
}

}  // namespace

uint8_t* FrameQueue::room() {
  if (count_ == kFrames) return nullptr;
  if (!store_) store_.reset(new Store);
  if (count_ == 0) return store_->bytes + (tail_ = 0);
  // Never up to the head: a tail that has come around is below it, and no other is.
  const size_t head = store_->frames[first_].offset;
  if (tail_ > head && tail_ + pkt::kMaxTunFrame > kBytes && pkt::kMaxTunFrame < head) tail_ = 0;
  const size_t limit = tail_ > head ? kBytes : head - 1;
  return tail_ + pkt::kMaxTunFrame <= limit ? store_->bytes + tail_ : nullptr;
}

bool FrameQueue::may_pass(pkt::ConstView frame) const {
  return frame.size() <= kLightBytes && store_->waiting[flow_of(frame)] == 0;
}

void FrameQueue::keep(size_t length) {
  const pkt::ConstView frame(store_->bytes + tail_, length);
  const uint8_t flow = flow_of(frame);
  store_->frames[(first_ + count_) % kFrames] = {static_cast<uint32_t>(tail_), static_cast<uint32_t>(length), flow};
  ++store_->waiting[flow];
  ++count_;
  bytes_ += length;
  tail_ += length;
}

pkt::MutView FrameQueue::take() {
  const Frame& frame = store_->frames[first_];
  --store_->waiting[frame.flow];
  first_ = (first_ + 1) % kFrames;
  --count_;
  bytes_ -= frame.length;
  return {store_->bytes + frame.offset, frame.length};
}

void FrameQueue::release() {
  if (count_ == 0) store_.reset();
}

}  // namespace ocvpn::dataplane
