// From the decrypted packets of one client to few, large writes to the tun (what GRO does in the kernel).
//
// Theory of operation. A burst of packets of one client is pushed one after the other. A TCP (or, where the tun takes
// USO, UDP) segment that continues what is held for its flow is appended to it; the result goes to the tun as one
// super-packet with a vnet header from which the kernel could rebuild exactly the packets that came in. Everything else
// goes straight through, after what is held for its flow, so that packets of one flow never change order. flush() ends
// the burst; a Coalescer holds nothing between bursts, so one per thread serves all clients.
//
// Pure ACKs of a burst may be thinned (configure()): while one is held, a later one that says more takes its place, as
// DOCSIS modems and CAKE's ack-filter do it; see supersedes() in flow_segment.h for what never is dropped. Each ACK costs
// a write and the sender's whole receive path, and a receiver with GRO sends as few.
//
// A packet that is written where landing() says, and continues what is held, is there already: its payload lies behind
// what is held, its headers over the end of that, which is put back. So nothing is copied; the other packets are moved
// out of the way first.
//
// What is appended has its checksum verified first: the kernel writes a new one over the super-packet, and a damaged
// packet would leave with a good checksum. A packet that stays alone keeps its own checksum, so that the receiver
// finds the damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "pkt/ip_packet.h"
#include "pkt/view.h"
#include "pkt/vnet_header.h"

namespace ocvpn::pkt {

/** Non-owning reference to a function object that takes a finished frame: vnet header and packet, for one write(). */
class FrameSink {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FrameSink>>>
  FrameSink(F&& callable)
      : context_(const_cast<void*>(static_cast<const void*>(&callable))),
        call_([](void* context, ConstView frame) { (*static_cast<std::remove_reference_t<F>*>(context))(frame); }) {}
  void operator()(ConstView frame) const { call_(context_, frame); }

 private:
  void* context_;
  void (*call_)(void*, ConstView);
};

/** What became of a pushed packet, and why it was not appended. */
enum class Coalesce : uint8_t {
  kAppended,         // part of a super-packet now
  kHeld,             // first of its flow, waits for more
  kSuperseding,      // took the place of the pure ACK that was held
  // Passed through at once:
  kNotTcpUdp,        // other protocols have no rule
  kFragment,         // part of a packet; ports may be missing
  kIpOptions,        // IPv4 options or IPv6 extension headers: not all may be repeated on every segment
  kBadL4Header,      // truncated or inconsistent: not ours to repair
  kNoPayload,        // pure ACK that is not thinned
  kTcpFlags,         // SYN, FIN, RST, URG, CWR or no ACK: they mark one packet, not a stretch of the stream
  kPush,             // PSH on a segment that starts a flow: sender wants it delivered, nothing may follow
  kUdpNoChecksum,    // 0: nothing to verify
  kDisabled,         // the tun takes no such super-packets, or switched off
  kBadChecksum,      // would be laundered; goes out as it is
  kTooLarge,         // fits no slot
};

/** Why what was held had to be written before the packet (counters for tests and tuning). */
enum class FlushCause : uint8_t {
  kEndOfBurst,
  kComplete,         // short segment or PSH: nothing may follow in this super-packet
  kSequence,         // not the next byte: hole, retransmission
  kHeaderChange,     // ACK number, window, flags (also ECE), TCP options
  kIpChange,         // TOS/ECN, TTL, DF, flow label
  kIpId,             // without DF the ids must count up (RFC 6864: they matter there)
  kSize,             // larger than the segments before
  kFull,             // 64 KiB or the number of segments that the kernel takes
  kHeadChecksum,     // the held packet itself is damaged
  kPassThrough,      // a packet of the flow that cannot be appended must stay behind it
  kBadChecksum,      // the packet that would follow is damaged
  kEvicted,          // another flow needed the slot
  kAck,              // the pure ACK that was held says something that the next one does not
  kCount,            // number of causes; not a cause
};

struct CoalesceCounters {
  uint64_t appended = 0;        // packets that saved a write
  uint64_t super_packets = 0;   // writes with more than one packet
  uint64_t superseded = 0;      // pure ACKs that were dropped for a later one
  uint64_t flushes[static_cast<size_t>(FlushCause::kCount)] = {};
};

struct FlowSegment;  // flow_segment.h

class Coalescer {
 public:
  /** Flows held at a time. A slot's memory is touched only when it is used, lowest first. */
  static constexpr size_t kSlots = 8;
  /** Segments per UDP super-packet: UDP_MAX_SEGMENTS of kernels before 6.10 (linux/udp.h). */
  static constexpr size_t kMaxUdpSegments = 64;
  /** Pure ACKs of which one goes on at least: with one per two segments 23 KB, less than a GRO super-packet's. */
  static constexpr size_t kMaxAcks = 8;

  /** Bytes that may be written at landing(): the largest record with what the library may put behind it. */
  static constexpr size_t kLandingRoom = 16384 + 256;

  /** The only allocation. `tcp`/`udp`: what the tun takes (TUN_F_TSO4|6, TUN_F_USO4|6). */
  Coalescer(bool tcp, bool udp);
  ~Coalescer();
  Coalescer(const Coalescer&) = delete;
  Coalescer& operator=(const Coalescer&) = delete;

  /** Changes what the next burst may coalesce (per client), `acks`: thin pure ACKs; only while nothing is held. */
  void configure(bool tcp, bool udp, bool acks = false);

  /**
   * `frame`: kVnetHeaderSize bytes of scratch, then the packet. `ip`: parse_ip() of the packet, which must have
   * succeeded. The frame is not used after the call. `sink` gets zero or more frames.
   */
  Coalesce push(MutView frame, const IpPacket& ip, FrameSink sink);

  /**
   * Where the next packet, with `front` bytes of framing before it, may be written so that appending it needs no copy;
   * kLandingRoom bytes. null: nothing is held that it is likely to continue. What is written there is lost with the
   * next call of any other function but push() of the packet itself.
   */
  uint8_t* landing(size_t front);

  /** Writes all that is held, oldest first. Call at the end of each client's burst. */
  void flush(FrameSink sink);

  bool empty() const { return held_ == 0; }
  const CoalesceCounters& counters() const { return counters_; }

 private:
  struct Slot;
  /** The longest headers that are coalesced (IPv6, TCP with options), and framing. */
  static constexpr size_t kMaxLandingHead = 40 + 60 + 12;
  /** What landing() gave away: the first `head` bytes there are the slot's. */
  struct Landing {
    Slot* slot = nullptr;  // null: nothing
    uint8_t* start = nullptr;
    uint8_t* packet = nullptr;
    size_t head = 0;
    uint8_t kept[kMaxLandingHead];
  };

  Slot* find(const FlowSegment& segment);
  Slot& oldest();
  Slot& take_slot(FrameSink sink);
  bool push_landed(MutView frame, const IpPacket& ip, FrameSink sink);
  MutView leave_landing(MutView frame, const IpPacket& ip);
  void put_back();
  FlushCause may_append(Slot& slot, const FlowSegment& segment);
  void append(Slot& slot, size_t payload_length, bool push, FrameSink sink);
  Coalesce push_ack(Slot* slot, const FlowSegment& segment, FrameSink sink);
  void hold(Slot& slot, const FlowSegment& segment);
  void release(Slot& slot, FlushCause cause, FrameSink sink);
  void release_pair(const FlowSegment& segment, FrameSink sink);
  static Coalesce pass(const FlowSegment& segment, Coalesce reason, FrameSink sink);

  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<uint8_t[]> memory_;
  size_t held_ = 0;
  uint64_t clock_ = 0;
  Landing landing_;
  Slot* run_slot_ = nullptr;  // what was appended to last,
  size_t run_ = 0;            // and so many times in a row
  bool tcp_;
  bool udp_;
  bool acks_ = false;
  CoalesceCounters counters_;
};

}  // namespace ocvpn::pkt
