#include "dataplane/handover.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "dataplane/messages.h"
#include "io/unique_fd.h"

namespace ocvpn::dataplane {

namespace {

// In front of the connection, the plaintext that was read beyond the request, and the names of DTLS ciphers.
struct Head {
  TunnelSettings settings;
  DtlsMode dtls_mode;
  std::array<uint8_t, 48> master_secret;
  std::array<uint8_t, 32> session_id;
  uint32_t tls_length;
  uint32_t head_length;
  uint32_t ciphers_length;
};
static_assert(std::is_trivially_copyable_v<Head>, "it travels as bytes");

// Bytes with keys in them.
struct Secret : std::vector<uint8_t> {
  using std::vector<uint8_t>::vector;
  explicit Secret(std::vector<uint8_t> bytes) : std::vector<uint8_t>(std::move(bytes)) {}
  ~Secret() { OPENSSL_cleanse(data(), size()); }
};

std::unique_ptr<TunnelSetup> parse(const uint8_t* payload, size_t length, io::UniqueFd tcp) {
  Head head;
  if (length < sizeof head) return nullptr;
  memcpy(&head, payload, sizeof head);
  if (length - sizeof head != uint64_t{head.tls_length} + head.head_length + head.ciphers_length) return nullptr;
  const uint8_t* tls = payload + sizeof head;
  const uint8_t* plaintext = tls + head.tls_length;
  const uint8_t* ciphers = plaintext + head.head_length;
  auto setup = std::make_unique<TunnelSetup>();
  setup->tls = TlsStream::restore(tcp.release(), tls, head.tls_length);
  setup->head.assign(plaintext, ciphers);
  static_cast<TunnelSettings&>(setup->options) = head.settings;
  setup->options.dtls.mode = head.dtls_mode;
  setup->options.dtls.master_secret = head.master_secret;
  setup->options.dtls.session_id = head.session_id;
  setup->options.dtls.ciphers.assign(ciphers, ciphers + head.ciphers_length);
  OPENSSL_cleanse(&head, sizeof head);
  return setup->tls == nullptr ? nullptr : std::move(setup);
}

}  // namespace

bool prepare_handover(TunnelSetup* setup) {
  if (!setup->options.offloads.own_records) return false;
  TlsStream& tls = *setup->tls;
  tls.use_own_records();
  const std::vector<uint8_t> response = std::move(setup->response);
  setup->response.clear();
  for (size_t at = 0; at < response.size(); at += TlsStream::kMaxPlaintext) {
    const size_t length = std::min(TlsStream::kMaxPlaintext, response.size() - at);
    if (tls.write(response.data() + at, length) == TlsStatus::kOk) continue;
    setup->response.assign(response.begin() + static_cast<std::ptrdiff_t>(at), response.end());
    return false;
  }
  return tls.owns_records();
}

bool send_handover(int channel, const TunnelSetup& setup) {
  const TunnelOptions& options = setup.options;
  const Secret tls(setup.tls->save());
  if (tls.empty()) {
    errno = EINVAL;
    return false;
  }
  Head head{options,
            options.dtls.mode,
            options.dtls.master_secret,
            options.dtls.session_id,
            static_cast<uint32_t>(tls.size()),
            static_cast<uint32_t>(setup.head.size()),
            static_cast<uint32_t>(options.dtls.ciphers.size())};
  Secret payload(sizeof head + tls.size() + setup.head.size() + options.dtls.ciphers.size());
  memcpy(payload.data(), &head, sizeof head);
  OPENSSL_cleanse(&head, sizeof head);
  uint8_t* at = std::copy(tls.begin(), tls.end(), payload.data() + sizeof head);
  at = std::copy(setup.head.begin(), setup.head.end(), at);
  std::copy(options.dtls.ciphers.begin(), options.dtls.ciphers.end(), at);
  Command command;
  command.type = CommandType::hand_over;
  command.id = setup.id;
  return try_send_command(channel, command, payload.data(), payload.size(), setup.tls->fd()) &&
         try_send_command(channel, command, nullptr, 0, options.tun_fd);
}

std::unique_ptr<TunnelSetup> receive_handover(int channel, Counters* counters) {
  Command command;
  Secret payload(kMaxPayload);
  int fd = -1;
  if (receive_command(channel, &command, payload.data(), &fd) != 1) return nullptr;
  io::UniqueFd tcp(fd);
  if (command.type != CommandType::hand_over || !tcp) return nullptr;
  const uint32_t id = command.id;
  std::unique_ptr<TunnelSetup> setup = parse(payload.data(), command.payload_length, std::move(tcp));
  if (setup == nullptr || receive_command(channel, &command, payload.data(), &fd) != 1) return nullptr;
  io::UniqueFd tun(fd);
  if (command.type != CommandType::hand_over || command.id != id || !tun) return nullptr;
  setup->id = id;
  setup->counters = counters;
  setup->options.tun_fd = tun.release();
  return setup;
}

}  // namespace ocvpn::dataplane
