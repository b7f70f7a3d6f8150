// UDP: the listener that all clients hit first, and one connected socket per client.
//
// Theory of operation. The listener is bound to the server's port, usually on the wildcard address. For each
// client a second socket is bound to the address that the client used, with the same port, and connected to the
// client. The kernel gives a datagram to the socket that matches best, and a connected match always beats an
// unconnected one (compute_score() in net/ipv4/udp.c), so from then on the client's datagrams skip the listener.
//
// Between bind() and connect() the new socket is unconnected and bound to a specific address: it beats a
// wildcard listener for *every* client (and ties with an equally specific one, where the youngest wins). There
// is no system call that does both at once, and a connected socket cannot be bound any more. So the socket gets
// a classic BPF filter before bind() that lets only this client's datagrams in. No datagram of another client is
// ever delivered to it. One that arrives in those few microseconds is dropped; it can only be a first ClientHello
// (connected clients have better matches), which DTLS repeats.
//
// connect() is not the end of that: another CPU may have looked the socket up before it and ask the filter after it.
// So the filter stays on, and who reads the socket in the end takes it off (dataplane::UdpSocket), many system calls
// later; there it would cost every packet something.
//
// SO_REUSEPORT is not used: within a reuseport group the kernel spreads unconnected datagrams by hash, and the
// listener would lose its share to each new socket of the window.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/address.h"
#include "io/result.h"
#include "io/unique_fd.h"

namespace ocvpn::io {

/// Largest UDP payload, bytes.
constexpr size_t kMaxDatagram = 65535;

/// Unconnected listener with packet info, SO_REUSEADDR; IPv6 sockets take IPv6 only. Non-blocking, close-on-exec.
Result<UniqueFd> bind_udp(const std::string& address, uint16_t port);

/// The options of bind_udp, for a bound socket that somebody else opened.
Status prepare_udp_listener(int fd, int family);

struct DatagramInfo {
  size_t size = 0;
  Endpoint remote;
  /// Local address that was hit, port of the socket.
  Endpoint local;
};

/// nullopt when nothing waits. `capacity` of kMaxDatagram never truncates.
Result<std::optional<DatagramInfo>> receive_datagram(int fd, uint8_t* buffer, size_t capacity);

/// See above; with the filter. Both ends of one family. EINVAL when an address is not numeric or the families differ.
Result<UniqueFd> connect_udp(const Endpoint& local, const Endpoint& remote);

}  // namespace ocvpn::io
