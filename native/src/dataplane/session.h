// One tunnel: a tun device, the client's TLS connection (CSTP) and up to two DTLS associations.
//
// Theory of operation. The loop calls on_event() for a ready descriptor and on_timer() for a timer. Each call does a
// bounded amount of work (kTurnBytes) and returns; the descriptors are level-triggered, so what is left comes up again
// after the other sessions had their turn. Nothing blocks. After each call update_interest() decides what to wait for:
//
//   tun   readable: unless UDP, where it carries the data, cannot take more, or the session is closing. So the kernel's
//         tun queue is the only queue, and the inner TCP sees it; but for the frames (frame_queue.h) that are read while
//         bursts are spread, the rate is used up or TCP takes no more (stream_room.h), so that other flows' packets may
//         pass them.
//   tcp   readable: unless the client is above its rate; writable while records wait.
//   udp   as tcp; writable while a batch waits.
//
// Implementation is spread over session.cc (life), session_out.cc (tun to client), session_in.cc (client to tun),
// session_udp.cc (DTLS associations), session_mtu.cc (path MTU), session_timers.cc (liveness).
#pragma once

#include <memory>
#include <string>

#include "dataplane/dtls_slot.h"
#include "dataplane/frame_queue.h"
#include "dataplane/replay_window.h"
#include "dataplane/send_pace.h"
#include "dataplane/setup.h"
#include "dataplane/stream_room.h"
#include "dataplane/tun_port.h"
#include "dataplane/workspace.h"
#include "pkt/cstp.h"
#include "pkt/flow_filter.h"
#include "pkt/mtu_search.h"
#include "pkt/segment.h"
#include "pkt/token_bucket.h"

namespace ocvpn::dataplane {

class Session {
 public:
  Session(std::unique_ptr<TunnelSetup> setup, Workspace* workspace);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  uint32_t id() const { return id_; }
  // Over: the loop may free it after the current turn. Its 'closed' event was posted.
  bool finished() const { return state_ == State::finished; }

  void start();
  void on_event(WatchKind kind, uint32_t events);
  void on_timer(pkt::Timer& timer);
  // The time that hold_tun() asked for is over.
  void end_hold();
  // Takes ownership of `fd`. `datagram` is the first one from that address.
  void attach_udp(int fd, bool hello, const uint8_t* datagram, size_t length);
  // `disconnect`: tell the client not to come back.
  void terminate(bool disconnect, CloseReason reason);
  // Answer to a 'sign' event; null: refused.
  void complete_sign(uint32_t request_id, const uint8_t* signature, size_t length);

 private:
  enum class State : uint8_t { running, closing, finished };
  enum class Channel : uint8_t { tls, dtls };
  enum TimerKind : uint32_t { kLiveness, kRetransmit, kRate, kProbe, kRest };

  // Work of one session in one turn of the loop, bytes and system calls.
  static constexpr size_t kTurnBytes = 256 * 1024;
  static constexpr int kTurnReads = 64;

  // One DTLS association with its watch.
  struct UdpChannel {
    DtlsSlot slot;
    Watch watch;
    ReplayWindow window;
    uint64_t last_handshake_ms = 0;
    uint32_t handshakes = 0;
  };

  // ---- session.cc
  void shut(CloseReason reason, const char* detail);            // client gone or failed: no farewell
  void say_goodbye(CloseReason reason, const char* detail);     // DISCONNECT, close_notify, linger
  void finish();
  void release_descriptors();
  void on_closing_tcp();
  void update_interest();
  void flush_tls();
  bool tls_write_record(const uint8_t* record, size_t length);
  void send_control(Channel channel, pkt::PacketType type, const uint8_t* payload, size_t length);
  void limit_send_buffer(int fd);
  void limit_unsent();
  void write_response(const std::vector<uint8_t>& response);
  bool read_head(const std::vector<uint8_t>& head);

  // ---- session_out.cc
  void on_tun(uint32_t events);
  bool channel_takes() const;
  bool stream_waits() const;
  void note_stream(size_t before);
  void look_later();
  bool may_send() const;
  bool drops_next(bool full);
  bool may_read_tun();
  void read_tun();
  bool may_pass(pkt::ConstView frame);
  void hold_tun();
  void send_held_frames();
  bool send_paced(pkt::MutView frame);
  bool send_frame(pkt::MutView frame);
  void flush_sent();
  void send_packet(Channel channel, pkt::MutView packet);
  pkt::PacketType compress_packet(Channel channel, pkt::MutView* packet);
  void answer_too_big(const pkt::Segmenter& segmenter);
  Channel data_channel() const;
  pkt::Compression compression_of(Channel channel) const {
    return channel == Channel::tls ? options_.cstp_compression : options_.dtls_compression;
  }

  // ---- session_in.cc
  void on_tcp(uint32_t events);
  uint8_t* record_room(size_t framing);
  void read_tls_records();
  void on_cstp_record(uint8_t* record, size_t length);
  bool on_packet(Channel channel, const pkt::CstpPacket& packet);
  void on_disconnect(pkt::ConstView payload);
  bool check_tls_rekey();
  void ask_for_signature();
  void on_dpd_request(Channel channel, pkt::ConstView payload);
  bool inject_compressed(Channel channel, pkt::ConstView data);
  void inject(Channel channel, pkt::ConstView packet);
  void flush_tun();
  void configure_coalescer();

  // ---- session_udp.cc
  void on_udp(int index, uint32_t events);
  void feed_datagram(int index, const uint8_t* datagram, size_t length);
  bool read_active(const uint8_t* datagram, size_t length);
  void on_dtls_record(const uint8_t* record, size_t length);
  void after_handshake_record();
  void continue_handshake(int index, const uint8_t* datagram, size_t length);
  UdpSocket adopt_socket(int fd);
  void promote_pending();
  bool offer_to_pending(const uint8_t* datagram, size_t length);
  void start_handshake(int fd, bool shares, const uint8_t* datagram, size_t length);
  void try_roam(int fd, const uint8_t* datagram, size_t length);
  void drop_udp(int index, bool notify);
  void udp_failed(const char* detail);
  void handshake_failed(int index, const char* detail);
  void report_dtls_down(const char* detail);
  void after_udp_send();
  void set_udp_usable(bool usable);
  void arm_retransmit();
  void on_retransmit();
  UdpChannel& active() { return udp_[active_index_]; }
  const UdpChannel& active() const { return udp_[active_index_]; }
  UdpChannel& pending() { return udp_[1 - active_index_]; }

  // ---- session_mtu.cc
  uint32_t min_data_mtu() const;
  void set_data_mtu(uint32_t mtu);
  void on_too_big();
  void begin_mtu_search();
  void continue_mtu_search();
  void send_mtu_probe();
  void on_probe_timer();
  void on_dpd_answer(Channel channel);
  void adopt_search_result();

  // ---- session_timers.cc
  void check_liveness();
  uint64_t check_dead_peers(uint64_t now);
  uint64_t check_keepalive(uint64_t now);
  uint64_t check_limits(uint64_t now);
  uint64_t check_rekey(uint64_t now);
  void check_rates();
  void arm_rate(uint64_t wait_ns);
  void arm_liveness(uint64_t deadline_ms);
  void note_event();
  void check_rest();
  void note_tls_progress(size_t before);

  uint32_t id_;
  State state_ = State::running;
  Workspace* ws_;
  TunnelOptions options_;
  Counters* counters_;
  std::unique_ptr<TunnelSetup> setup_;  // until start()

  TunPort tun_;
  Watch tun_watch_;
  std::unique_ptr<TlsStream> tls_;
  Watch tcp_watch_;
  DtlsKeys dtls_keys_;
  UdpChannel udp_[2];
  int active_index_ = 0;
  bool udp_usable_ = false;  // DTLS carries the data
  bool udp_dirty_ = false;   // records in the thread's batch
  bool pending_shares_ = false;  // the pending association has no socket of its own: the client kept its address
  bool coalescer_in_use_ = false;

  uint32_t data_mtu_;
  pkt::MtuSearch mtu_search_;
  bool probing_ = false;  // a probe is on its way
  uint32_t probes_ = 0;   // of the same size
  pkt::SourceFilter source_filter_;
  pkt::TokenBucket rx_bucket_;
  pkt::TokenBucket tx_bucket_;
  pkt::TokenBucket icmp_bucket_;
  uint64_t rx_owed_bytes_ = 0;  // passed beyond the rate, paid for while reading is paused
  bool rx_paused_ = false;
  bool tx_paused_ = false;
  SendPace send_pace_;
  StreamRoom stream_room_;
  uint32_t tls_unsent_bytes_ = 0;  // that its socket was told
  uint64_t stream_blocked_ns_ = 0;  // when TCP took something last, but not all; 0: it takes what we send
  bool look_asked_ = false;         // of the loop, for look_ns_
  uint64_t look_ns_ = 0;
  bool tun_held_ = false;
  uint64_t hold_ends_ns_ = 0;
  int passed_ = 0;  // packets that went first, since
  uint64_t passing_since_ns_ = 0;
  FrameQueue held_frames_;
  uint64_t tun_read_ns_ = 0;  // the turn that read the tun last

  pkt::Timer liveness_timer_;
  pkt::Timer retransmit_timer_;
  pkt::Timer rate_timer_;
  pkt::Timer probe_timer_;
  pkt::Timer rest_timer_;

  // Loop milliseconds.
  uint64_t opened_ms_;
  uint64_t last_tcp_rx_ms_;
  uint64_t last_tcp_tx_ms_;
  uint64_t last_tcp_dpd_ms_ = 0;
  uint64_t last_udp_rx_ms_ = 0;
  uint64_t last_udp_tx_ms_ = 0;
  uint64_t last_udp_dpd_ms_ = 0;
  uint64_t udp_attached_ms_ = 0;
  uint64_t last_event_ms_ = 0;  // of any descriptor
  uint64_t last_rekey_ms_;
  uint64_t blocked_since_ms_ = 0;  // 0: TCP takes what we send
  uint64_t linger_until_ms_ = 0;
  uint64_t sign_asked_ms_ = 0;     // 0: no signature is awaited
  uint32_t renegotiations_ = 0;

  CloseReason close_reason_ = CloseReason::unspecified;
  std::string close_detail_;
};

}  // namespace ocvpn::dataplane
