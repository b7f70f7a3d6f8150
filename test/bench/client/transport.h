// The bytes below a TLS or DTLS connection, in batches: many records per system call.
#pragma once

#include <openssl/bio.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "io/unique_fd.h"
#include "pkt/view.h"

namespace ocvpn::bench {

struct TransportCounters {
  uint64_t receives = 0;
  uint64_t sends = 0;
  /** Sends that the kernel refused; DTLS goes on without what they held. */
  uint64_t refused = 0;
};

/**
 * A connected socket with a buffer on each side. Records are written into the buffer; flush() sends them with one
 * system call (datagrams of one size as one UDP_SEGMENT super-packet). fill() receives what waits, up to 64 KiB
 * (datagrams by UDP_GRO), and records are read out of that. fill() keeps what a stream's reader has left.
 */
class Transport {
 public:
  enum class Kind { kStream, kDatagram };
  enum class Fill { kData, kEmpty, kEnd };

  /** Takes the descriptor; makes it non-blocking. */
  Transport(io::UniqueFd fd, Kind kind);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int fd() const { return fd_.get(); }
  /** A BIO for SSL_set_bio, which then owns it. The transport must outlive it. */
  BIO* make_bio();

  /** While set, a read with nothing buffered waits for the socket (30 s at most). */
  void set_waiting(bool waiting) { waiting_ = waiting; }

  Fill fill();
  /** Sends what is buffered. False: a stream that takes no more now. */
  bool flush();
  /** Bytes that wait to be sent. */
  size_t pending() const { return out_size_ - out_start_; }
  /** Those bytes. */
  pkt::ConstView unsent() const { return {out_.get() + out_start_, pending()}; }
  const TransportCounters& counters() const { return counters_; }

  /** What was received and not consumed, of datagrams the first; until the next call but of consume(). */
  pkt::ConstView peek() const;
  void consume(size_t size) { in_start_ += size; }
  /** Room for a record of exactly that size, which commit() adds to what is sent. Null: the stream takes no more now. */
  uint8_t* reserve(size_t size);
  void commit(size_t size);

  // For the BIO's call-backs.
  ssize_t read(uint8_t* out, size_t size);
  ssize_t write(const uint8_t* data, size_t size);

 private:
  bool fits(size_t size) const;
  bool flush_stream();
  void flush_datagrams();

  io::UniqueFd fd_;
  Kind kind_;
  bool waiting_ = false;
  std::unique_ptr<uint8_t[]> in_;
  size_t in_start_ = 0;
  size_t in_size_ = 0;
  size_t in_segment_ = 0;   // size of each datagram in in_ but the last
  std::unique_ptr<uint8_t[]> out_;
  size_t out_capacity_;
  size_t out_start_ = 0;
  size_t out_size_ = 0;
  size_t out_segment_ = 0;  // size of the first datagram in out_
  size_t out_count_ = 0;
  bool out_closed_ = false; // a shorter one ended the batch
  TransportCounters counters_;
};

/** Waits until the descriptor is ready for `events` (poll(2)). False when `timeout_ms` passed. */
bool wait_for(int fd, short events, int timeout_ms);

}  // namespace ocvpn::bench
