#include "dataplane/handshake_recorder.h"

#include <utility>

namespace ocvpn {

void HandshakeRecorder::attach(SSL* ssl) {
  SSL_set_msg_callback(ssl, on_message);
  SSL_set_msg_callback_arg(ssl, this);
}

void HandshakeRecorder::stop() {
  state_ = State::kStopped;
  std::vector<std::uint8_t>().swap(messages_);
}

std::vector<std::uint8_t> HandshakeRecorder::take() {
  std::vector<std::uint8_t> taken;
  if (state_ == State::kComplete) taken = std::move(messages_);
  stop();
  return taken;
}

void HandshakeRecorder::on_message(int is_sent, int, int content_type, const void* data, std::size_t length, SSL*,
                                   void* self) {
  auto* recorder = static_cast<HandshakeRecorder*>(self);
  if (content_type == SSL3_RT_INNER_CONTENT_TYPE && is_sent == 0) ++recorder->records_read_;
  if (content_type == SSL3_RT_HANDSHAKE) recorder->add(is_sent != 0, static_cast<const std::uint8_t*>(data), length);
}

void HandshakeRecorder::add(bool is_sent, const std::uint8_t* message, std::size_t length) {
  if (!is_sent && length > 0 && message[0] == SSL3_MT_KEY_UPDATE) ++key_updates_read_;
  if (state_ != State::kRecording || length == 0) return;
  if (messages_.size() + length > kMaxBytes) {
    stop();
    return;
  }
  messages_.insert(messages_.end(), message, message + length);
  if (!is_sent && message[0] == SSL3_MT_CERTIFICATE_VERIFY) state_ = State::kComplete;
}

}  // namespace ocvpn
