#include "pkt/coalesce.h"

#include "pkt/flow_segment.h"

namespace ocvpn::pkt {

namespace {

/** The largest IPv4 packet; the same for IPv6, of which the kernel takes a little more. */
constexpr size_t kMaxSuperPacket = 65535;
/** Frame with room for one more record, rounded to a cache line. */
constexpr size_t kSlotSize = (kVnetHeaderSize + kMaxSuperPacket + Coalescer::kLandingRoom + 63) / 64 * 64;
/** So many packets in a row continued the same slot when the next one is taken to do so, too. */
constexpr size_t kLandingRun = 2;

}  // namespace

struct Coalescer::Slot {
  uint8_t* memory = nullptr;
  bool used = false;
  bool push = false;
  bool head_verified = false;
  IpPacket ip;                // of the first packet
  uint64_t hash = 0;
  uint64_t age = 0;
  size_t header_length = 0;
  size_t segment = 0;         // payload bytes of the first packet
  size_t length = 0;          // of the packet so far
  size_t count = 0;           // packets in it
  size_t acks = 0;            // pure ACKs that it stands for, 0: it is a segment with payload

  MutView packet() const { return {memory + kVnetHeaderSize, length}; }
  /** The first packet as it came; its headers are not touched before release. */
  ConstView head() const { return {memory + kVnetHeaderSize, header_length + segment}; }
};

Coalescer::Coalescer(bool tcp, bool udp)
    // Not make_unique: that would write zeros, and so touch the MiB that most processes never need.
    : slots_(new Slot[kSlots]), memory_(new uint8_t[(kSlots + 1) * kSlotSize]), tcp_(tcp), udp_(udp) {
  for (size_t i = 0; i < kSlots; ++i) slots_[i].memory = memory_.get() + i * kSlotSize;
}

Coalescer::~Coalescer() = default;

void Coalescer::configure(bool tcp, bool udp, bool acks) {
  detail::require(empty());
  tcp_ = tcp;
  udp_ = udp;
  acks_ = acks;
}

Coalesce Coalescer::push(MutView frame, const IpPacket& ip, FrameSink sink) {
  if (landing_.slot != nullptr) {
    if (push_landed(frame, ip, sink)) return Coalesce::kAppended;
    frame = leave_landing(frame, ip);
  }
  FlowSegment segment;
  Coalesce reason = classify(frame, ip, tcp_, udp_, &segment);
  if (!segment.has_ports) {
    // TCP or UDP without ports may belong to any flow between these hosts; other protocols are never held.
    if (held_ != 0 && reason != Coalesce::kNotTcpUdp) release_pair(segment, sink);
    return pass(segment, reason, sink);
  }
  Slot* slot = held_ == 0 ? nullptr : find(segment);
  if (reason == Coalesce::kNoPayload && acks_ && plain_ack(segment)) return push_ack(slot, segment, sink);
  if (reason == Coalesce::kHeld && segment.packet.size() > kMaxSuperPacket) reason = Coalesce::kTooLarge;
  if (reason != Coalesce::kHeld) {
    if (slot != nullptr) release(*slot, FlushCause::kPassThrough, sink);
    return pass(segment, reason, sink);
  }
  if (slot != nullptr) {
    const FlushCause cause = may_append(*slot, segment);
    if (cause == FlushCause::kCount) {
      MutView(slot->memory, kSlotSize).put(kVnetHeaderSize + slot->length, segment.packet.from(segment.header_length));
      append(*slot, segment.payload_length, has_push(segment.packet, ip), sink);
      return Coalesce::kAppended;
    }
    release(*slot, cause, sink);
    if (cause == FlushCause::kBadChecksum) return pass(segment, Coalesce::kBadChecksum, sink);
  }
  if (has_push(segment.packet, ip)) return pass(segment, Coalesce::kPush, sink);
  hold(slot != nullptr ? *slot : take_slot(sink), segment);
  return Coalesce::kHeld;
}

uint8_t* Coalescer::landing(size_t front) {
  put_back();
  Slot* slot = run_slot_;
  if (slot == nullptr || run_ < kLandingRun) return nullptr;
  const size_t head = front + slot->header_length;
  // What is held must be told by its own headers; and where the slot is full, the packet begins another.
  if (head > kMaxLandingHead || slot->length < slot->header_length + head) return nullptr;
  if (slot->length + slot->segment > kMaxSuperPacket) return nullptr;
  landing_.slot = slot;
  landing_.start = slot->packet().at(slot->length - head, head);
  landing_.packet = landing_.start + front;
  landing_.head = head;
  std::memcpy(landing_.kept, landing_.start, head);
  return landing_.start;
}

/** Whether the packet was written at the landing and belongs there. Then it is appended. */
bool Coalescer::push_landed(MutView frame, const IpPacket& ip, FrameSink sink) {
  Slot& slot = *landing_.slot;
  FlowSegment segment;
  if (frame.data() + kVnetHeaderSize != landing_.packet) return false;
  if (classify(frame, ip, tcp_, udp_, &segment) != Coalesce::kHeld || segment.header_length != slot.header_length ||
      find(segment) != &slot || may_append(slot, segment) != FlushCause::kCount) {
    return false;
  }
  const bool push = has_push(segment.packet, ip);
  put_back();
  append(slot, segment.payload_length, push, sink);
  return true;
}

/** The frame elsewhere, when it lies at the landing, which is put back. */
MutView Coalescer::leave_landing(MutView frame, const IpPacket& ip) {
  if (frame.data() + kVnetHeaderSize == landing_.packet) {
    const MutView out(memory_.get() + kSlots * kSlotSize, kVnetHeaderSize + ip.total_length);
    out.put(kVnetHeaderSize, frame.sub(kVnetHeaderSize, ip.total_length));
    frame = out;
  }
  put_back();
  return frame;
}

void Coalescer::put_back() {
  if (landing_.slot == nullptr) return;
  std::memcpy(landing_.start, landing_.kept, landing_.head);
  landing_.slot = nullptr;
}

void Coalescer::flush(FrameSink sink) {
  put_back();
  while (held_ != 0) release(oldest(), FlushCause::kEndOfBurst, sink);
}

Coalescer::Slot* Coalescer::find(const FlowSegment& segment) {
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[i];
    if (slot.used && slot.hash == segment.hash && same_flow(slot.packet(), slot.ip, segment.packet, segment.ip)) {
      return &slot;
    }
  }
  return nullptr;
}

Coalescer::Slot& Coalescer::oldest() {
  Slot* found = nullptr;
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[i];
    if (slot.used && (found == nullptr || slot.age < found->age)) found = &slot;
  }
  detail::require(found != nullptr);
  return *found;
}

Coalescer::Slot& Coalescer::take_slot(FrameSink sink) {
  if (held_ == kSlots) {
    Slot& victim = oldest();
    release(victim, FlushCause::kEvicted, sink);
    return victim;
  }
  size_t i = 0;
  while (slots_[i].used) ++i;
  return slots_[i];
}

Coalesce Coalescer::push_ack(Slot* slot, const FlowSegment& segment, FrameSink sink) {
  if (slot != nullptr && slot->acks > 0 && slot->acks < kMaxAcks && supersedes(slot->packet(), segment) &&
      checksums_right(segment.packet, segment.ip)) {
    MutView(slot->memory, kSlotSize).put(kVnetHeaderSize, segment.packet);
    ++slot->acks;
    ++counters_.superseded;
    return Coalesce::kSuperseding;
  }
  if (slot != nullptr) release(*slot, slot->acks > 0 ? FlushCause::kAck : FlushCause::kPassThrough, sink);
  Slot& free = slot != nullptr ? *slot : take_slot(sink);
  hold(free, segment);
  free.acks = 1;
  return Coalesce::kHeld;
}

/** kCount, or why the slot must be released first. */
FlushCause Coalescer::may_append(Slot& slot, const FlowSegment& segment) {
  if (slot.acks > 0) return FlushCause::kAck;
  // Cheap tests first; the checksums read every byte.
  const FlushCause cause = follows(slot.head(), segment, slot.count, slot.length - slot.header_length);
  if (cause != FlushCause::kCount) return cause;
  if (segment.payload_length > slot.segment) return FlushCause::kSize;
  if (slot.length + segment.payload_length > kMaxSuperPacket) return FlushCause::kFull;
  if (slot.ip.protocol == kProtoUdp && slot.count == kMaxUdpSegments) return FlushCause::kFull;
  if (!slot.head_verified) {
    if (!checksums_right(slot.head(), slot.ip)) return FlushCause::kHeadChecksum;
    slot.head_verified = true;
  }
  return checksums_right(segment.packet, segment.ip) ? FlushCause::kCount : FlushCause::kBadChecksum;
}

/** A segment's payload lies behind what is held. */
void Coalescer::append(Slot& slot, size_t payload_length, bool push, FrameSink sink) {
  slot.length += payload_length;
  slot.push = push;
  ++slot.count;
  ++counters_.appended;
  run_ = run_slot_ == &slot ? run_ + 1 : 1;
  run_slot_ = &slot;
  if (push || payload_length < slot.segment) release(slot, FlushCause::kComplete, sink);
}

void Coalescer::hold(Slot& slot, const FlowSegment& segment) {
  slot.used = true;
  slot.push = false;
  slot.head_verified = false;
  slot.ip = segment.ip;
  slot.hash = segment.hash;
  slot.age = clock_++;
  slot.header_length = segment.header_length;
  slot.segment = segment.payload_length;
  slot.length = segment.packet.size();
  slot.count = 1;
  slot.acks = 0;
  MutView(slot.memory, kSlotSize).put(kVnetHeaderSize, segment.packet);
  ++held_;
}

void Coalescer::release(Slot& slot, FlushCause cause, FrameSink sink) {
  VnetHeader vnet;  // of a lone packet: no offload, its own checksum
  if (slot.count > 1) {
    vnet = finish_super_packet(slot.packet(), slot.ip, slot.header_length, slot.segment, slot.push);
    ++counters_.super_packets;
  }
  const MutView frame(slot.memory, kVnetHeaderSize + slot.length);
  store_vnet_header(frame, vnet);
  slot.used = false;
  if (run_slot_ == &slot) run_slot_ = nullptr;
  --held_;
  ++counters_.flushes[static_cast<size_t>(cause)];
  sink(frame);
}

void Coalescer::release_pair(const FlowSegment& segment, FrameSink sink) {
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[i];
    if (slot.used && same_addresses(slot.packet(), slot.ip, segment.packet, segment.ip)) {
      release(slot, FlushCause::kPassThrough, sink);
    }
  }
}

Coalesce Coalescer::pass(const FlowSegment& segment, Coalesce reason, FrameSink sink) {
  store_vnet_header(segment.frame, VnetHeader{});
  sink(segment.frame);
  return reason;
}

}  // namespace ocvpn::pkt
