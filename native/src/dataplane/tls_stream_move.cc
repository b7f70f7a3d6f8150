// The part of TlsStream that takes a connection to another process.
#include <openssl/crypto.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "dataplane/tls_stream.h"

namespace ocvpn {
namespace {

/// In front of what was received and not read, and what was written and not sent. Both sides are the same program.
struct Saved {
  TlsDirection::State in;
  TlsDirection::State out;
  std::array<std::uint8_t, 32> dtls_psk;
  std::uint64_t bytes_received;
  std::uint32_t records_without_data;
  std::uint32_t input_length;
  std::uint32_t output_length;
};
static_assert(std::is_trivially_copyable_v<Saved>, "it travels as bytes");

}  // namespace

std::vector<std::uint8_t> TlsStream::save() {
  Saved head{};
  if (!own_records_ || failed_ || closing_ || !opened_.empty() || !export_dtls_psk(head.dtls_psk.data())) return {};
  head.in = records_in_.save();
  head.out = records_out_.save();
  head.bytes_received = bytes_received_;
  head.records_without_data = records_without_data_;
  head.input_length = static_cast<std::uint32_t>(input_end_ - input_start_);
  head.output_length = static_cast<std::uint32_t>(pending_output());
  std::vector<std::uint8_t> saved(sizeof head + head.input_length + head.output_length);
  std::memcpy(saved.data(), &head, sizeof head);
  std::uint8_t* at = saved.data() + sizeof head;
  if (head.input_length > 0) std::memcpy(at, input_.data() + input_start_, head.input_length);
  if (head.output_length > 0) std::memcpy(at + head.input_length, output_.data() + output_start_, head.output_length);
  OPENSSL_cleanse(&head, sizeof head);
  return saved;
}

std::unique_ptr<TlsStream> TlsStream::restore(int fd, const std::uint8_t* saved, std::size_t length) {
  std::unique_ptr<TlsStream> stream(new (std::nothrow) TlsStream(nullptr, fd));
  if (stream == nullptr) ::close(fd);
  Saved head;
  if (stream == nullptr || length < sizeof head) return nullptr;
  std::memcpy(&head, saved, sizeof head);
  const std::uint8_t* input = saved + sizeof head;
  const std::uint8_t* output = input + head.input_length;
  const bool sound = head.input_length <= kInputCapacity &&
                     length - sizeof head == std::size_t{head.input_length} + head.output_length &&
                     stream->records_in_.restore(head.in, false) && stream->records_out_.restore(head.out, true);
  if (sound) {
    stream->handshake_done_ = stream->own_records_ = true;
    stream->dtls_psk_ = head.dtls_psk;
    stream->records_without_data_ = head.records_without_data;
    stream->feed(input, head.input_length);
    stream->bytes_received_ = head.bytes_received;
    stream->output_.assign(output, output + head.output_length);
  }
  OPENSSL_cleanse(&head, sizeof head);
  return sound ? std::move(stream) : nullptr;
}

}  // namespace ocvpn
