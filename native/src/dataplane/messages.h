// Commands to the packet loop and events from it: plain structs over a SOCK_SEQPACKET pair, descriptors as
// SCM_RIGHTS. The loop may be a thread of this process or a forked child; only `open` carries a pointer, which a
// child knows because it was there before the fork. `hand_over` and `spawn` are for children of a template (handover.h,
// session_template.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/counters.h"

namespace ocvpn::dataplane {

// Order and names of CloseReason in src/core/native/types.ts; number + 1 is ocserv's.
enum class CloseReason : uint8_t {
  unspecified,
  user_disconnect,
  server_disconnect,
  idle_timeout,
  dpd_timeout,
  error,
  session_timeout,
  temporary_disconnect,
  health_probe,
};

struct TunnelSetup;  // setup.h

// Bytes that may follow a command (a datagram, a signature) or an event (what is to be signed).
constexpr size_t kMaxPayload = 16384;

enum class CommandType : uint8_t { open, attach_udp, terminate, sign_done, shutdown, hand_over, spawn };

struct Command {
  CommandType type = CommandType::shutdown;
  bool hello = false;       // attach_udp
  bool disconnect = false;  // terminate: say DISCONNECT first
  CloseReason reason = CloseReason::unspecified;
  uint32_t id = 0;              // spawn: which page of counters
  uint32_t request_id = 0;      // sign_done
  bool refused = false;         // sign_done: there is no signature
  uint32_t payload_length = 0;  // attach_udp: the datagram, sign_done: the signature, others: see their headers
  TunnelSetup* setup = nullptr;  // open: ownership passes
};

// The last is not a tunnel's: tunnels get their processes another way from now on (session_template.h).
enum class EventType : uint8_t { dtls_up, dtls_down, roamed, mtu, sign, closed, template_lost };

struct Event {
  EventType type = EventType::closed;
  CloseReason reason = CloseReason::unspecified;  // closed
  bool accepted = false;                          // roamed
  uint32_t id = 0;
  uint32_t mtu = 0;           // mtu
  uint32_t milliseconds = 0;  // dtls_up: duration of the handshake
  uint32_t request_id = 0;    // sign
  uint32_t key_index = 0;     // sign
  uint16_t scheme = 0;        // sign: TLS SignatureScheme
  uint32_t payload_length = 0;  // sign: the message to be signed
  char version[16] = {};      // dtls_up
  char cipher[48] = {};       // dtls_up
  char detail[192] = {};      // closed, dtls_down, template_lost: one line for the log
};

// Bounded copy that always terminates.
void copy_text(char* to, size_t capacity, const char* from);

// Sends one command with at most one descriptor (-1: none) and an optional payload. Waits while the socket is full:
// the loop always drains it. false: the loop is gone (errno tells).
bool send_command(int socket, const Command& command, const uint8_t* payload, size_t length, int fd);

// The same without waiting, for a loop that is not trusted to drain it: EAGAIN when the socket is full.
bool try_send_command(int socket, const Command& command, const uint8_t* payload, size_t length, int fd);

// One command from a non-blocking socket. 1: got it (`fd` is the caller's), 0: none waits, -1: end of stream or error.
// `buffer` receives the payload and must hold kMaxPayload bytes.
int receive_command(int socket, Command* command, uint8_t* buffer, int* fd);

// `payload` has event.payload_length bytes. false: would block.
bool send_event(int socket, const Event& event, const uint8_t* payload);
// 1: got one, 0: none waits, -1: the loop is gone. `buffer` must hold kMaxPayload bytes.
int receive_event(int socket, Event* event, uint8_t* buffer);

}  // namespace ocvpn::dataplane
