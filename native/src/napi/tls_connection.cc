#include "napi/tls_connection.h"

#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/tls_facts.h"
#include "napi/napi_util.h"

namespace ocvpn::napi {
namespace {

// write() says false above this; onDrain comes at a quarter of it. Bytes, plaintext and ciphertext.
constexpr std::size_t kHighWater = 64 * 1024;
constexpr std::size_t kLowWater = kHighWater / 4;
// How long a closing connection waits for the peer to read and to close, milliseconds.
constexpr std::uint64_t kCloseTimeout = 3000;
constexpr int kNoAlert = -1;

Napi::Value make_error(Napi::Env env, const std::string& code, const std::string& message) {
  if (code.empty()) return env.Null();
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error.Value();
}

}  // namespace

TlsConnection::Handlers::Handlers(Napi::Object object)
    : on_sign(object.Get("onSign").As<Napi::Function>(), "ocvpn.TlsConnection"),
      on_secure(object.Get("onSecure").As<Napi::Function>(), "ocvpn.TlsConnection"),
      on_data(object.Get("onData").As<Napi::Function>(), "ocvpn.TlsConnection"),
      on_end(object.Get("onEnd").As<Napi::Function>(), "ocvpn.TlsConnection"),
      on_drain(object.Get("onDrain").As<Napi::Function>(), "ocvpn.TlsConnection"),
      on_close(object.Get("onClose").As<Napi::Function>(), "ocvpn.TlsConnection") {}

Napi::Function TlsConnection::constructor(Napi::Env env) {
  return DefineClass(env, "TlsConnection",
                     {InstanceMethod<&TlsConnection::complete_sign>("completeSign"),
                      InstanceMethod<&TlsConnection::write>("write"), InstanceMethod<&TlsConnection::pause>("pause"),
                      InstanceMethod<&TlsConnection::resume>("resume"), InstanceMethod<&TlsConnection::end>("end"),
                      InstanceMethod<&TlsConnection::end_with_alert>("endWithAlert"),
                      InstanceMethod<&TlsConnection::destroy>("destroy"),
                      InstanceMethod<&TlsConnection::info>("info"),
                      InstanceMethod<&TlsConnection::take_client_handshake>("takeClientHandshake")});
}

TlsConnection::TlsConnection(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TlsConnection>(info) {
  Napi::Env env = info.Env();
  auto context = *info[0].As<Napi::External<std::shared_ptr<TlsContext>>>().Data();
  const int fd = info[1].As<Napi::Number>().Int32Value();
  stream_ = TlsStream::accept(std::move(context), fd);
  if (stream_ == nullptr) {
    throw_sys_error(env, "SSL_new", ENOMEM);
    return;
  }
  handlers_ = std::make_shared<Handlers>(info[2].As<Napi::Object>());
  int error = poll_.open(env, fd, [this](int events) { on_events(events); });
  if (error == 0) error = soon_.open(env, [this] { state_ == State::kClosed ? emit_close() : pump(); });
  if (error == 0) error = close_timer_.open(env, [this] {
    const bool sent = stream_ != nullptr && stream_->pending_output() == 0 && queue_.empty();
    close_now(sent ? "" : "ETIMEDOUT", sent ? "" : "the peer did not read what was sent before the close");
  });
  if (error != 0) {
    poll_.close();
    stream_.reset();
    throw_sys_error(env, "uv_poll_init", error);
    return;
  }
  Ref();  // until emit_close() or release()
  update_events();
}

// ---------------------------------------------------------------- methods of JavaScript

Napi::Value TlsConnection::complete_sign(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto id = static_cast<std::uint32_t>(args.integer(0, "requestId", 0, UINT32_MAX));
  ByteView signature;
  if (!info[1].IsNull()) signature = args.bytes(1, "signature");
  if (!args.ok() || stream_ == nullptr) return info.Env().Undefined();
  if (stream_->complete_sign(id, signature.data, signature.size)) pump();
  return info.Env().Undefined();
}

Napi::Value TlsConnection::write(const Napi::CallbackInfo& info) {
  Args args(info);
  const ByteView data = args.bytes(0, "data");
  if (!args.ok()) return info.Env().Undefined();
  if (stream_ == nullptr || state_ == State::kClosing) return Napi::Boolean::New(info.Env(), false);
  queue_.insert(queue_.end(), data.data, data.data + data.size);
  step_write();
  wants_drain_ = wants_drain_ || backlog() > kHighWater;
  if (stream_ != nullptr) update_events();
  return Napi::Boolean::New(info.Env(), stream_ != nullptr && backlog() <= kHighWater);
}

void TlsConnection::pause(const Napi::CallbackInfo&) {
  paused_ = true;
  if (stream_ != nullptr && !pumping_) update_events();
}

void TlsConnection::resume(const Napi::CallbackInfo&) {
  if (!paused_) return;
  paused_ = false;
  // What is buffered already is delivered from the loop, never inside this call.
  if (stream_ != nullptr) soon_.start(0);
}

void TlsConnection::end(const Napi::CallbackInfo&) { begin_close(kNoAlert); }

void TlsConnection::end_with_alert(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto alert = static_cast<int>(args.integer(0, "alert", 0, 255));
  if (args.ok()) begin_close(alert);
}

void TlsConnection::destroy(const Napi::CallbackInfo&) { close_now("", ""); }

Napi::Value TlsConnection::info(const Napi::CallbackInfo& info) {
  if (stream_ != nullptr) return tls_info(info.Env(), *stream_);
  Napi::Error error = Napi::Error::New(info.Env(), "the TLS connection is closed");
  error.Set("code", Napi::String::New(info.Env(), "ERR_TLS_CLOSED"));
  error.ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

Napi::Value TlsConnection::take_client_handshake(const Napi::CallbackInfo& info) {
  if (stream_ == nullptr) return info.Env().Null();
  const std::vector<std::uint8_t> messages = stream_->take_client_handshake();
  if (messages.empty()) return info.Env().Null();
  return copy_to_buffer(info.Env(), messages.data(), messages.size());
}

std::unique_ptr<TlsStream> TlsConnection::release() {
  if (stream_ == nullptr || state_ != State::kOpen || !queue_.empty() || stream_->in_job() || stream_->failed())
    return nullptr;
  poll_.close();
  soon_.close();
  close_timer_.close();
  state_ = State::kClosed;
  handlers_.reset();
  std::unique_ptr<TlsStream> stream = std::move(stream_);
  stream->expect_packets();
  Unref();
  return stream;
}

// ---------------------------------------------------------------- machine

void TlsConnection::on_events(int events) {
  if ((events & LoopPoll::kReadable) != 0) receive();
  pump();
}

void TlsConnection::receive() {
  if (stream_ == nullptr) return;
  if (state_ == State::kClosing) stream_->discard_input();
  const TlsResult result = stream_->receive();
  if (result.status == TlsStatus::kEnd) peer_finished_ = true;
  if (result.status == TlsStatus::kError) close_now(stream_->error_code(), stream_->error());
}

/// Runs the machine until nothing more can happen now. Handlers may call back into this object at any point:
/// then the running pump goes round once more.
void TlsConnection::pump() {
  if (pumping_) {
    again_ = true;
    return;
  }
  pumping_ = true;
  do {
    again_ = false;
    step();
  } while (again_ && stream_ != nullptr);
  pumping_ = false;
  if (stream_ != nullptr) update_events();
}

void TlsConnection::step() {
  if (state_ == State::kHandshake) step_handshake();
  if (state_ == State::kOpen) step_read();
  if (stream_ != nullptr) step_write();
  if (state_ == State::kClosing) step_close();
}

void TlsConnection::step_handshake() {
  switch (stream_->handshake()) {
    case TlsStatus::kOk: {
      state_ = State::kOpen;
      Napi::Env env = Env();
      const auto handlers = handlers_;
      handlers->on_secure.call({tls_info(env, *stream_)});
      return;
    }
    case TlsStatus::kWantSign:
      post_sign_request();
      break;
    case TlsStatus::kError:
      fail_from_stream();
      return;
    default:
      break;
  }
  if (!peer_finished_ || stream_ == nullptr || state_ != State::kHandshake) return;
  if (stream_->bytes_received() == 0) {
    close_now("", "");
  } else {
    close_now("ERR_TLS_PEER_CLOSED", "the peer closed the connection during the handshake");
  }
}

void TlsConnection::post_sign_request() {
  const SignRequest* request = stream_->sign_request();
  if (request == nullptr || request->id == posted_sign_) return;
  posted_sign_ = request->id;
  Napi::Env env = Env();
  const auto handlers = handlers_;
  handlers->on_sign.call({Napi::Number::New(env, request->id), Napi::String::New(env, stream_->vhost()),
                          Napi::Number::New(env, request->key_index), Napi::Number::New(env, request->scheme),
                          copy_to_buffer(env, request->data.data(), request->data.size())});
}

void TlsConnection::step_read() {
  // One for each thread.
  static thread_local std::vector<std::uint8_t> plaintext(TlsStream::kMaxPlaintext);
  const auto handlers = handlers_;
  Napi::Env env = Env();
  while (state_ == State::kOpen && !paused_ && !end_emitted_) {
    const TlsResult result = stream_->read(plaintext.data(), plaintext.size());
    if (result.status == TlsStatus::kOk) {
      Napi::HandleScope scope(env);
      const Napi::Value copy = copy_to_buffer(env, plaintext.data(), result.bytes);
      // It may be a password; whoever gets the copy wipes that.
      OPENSSL_cleanse(plaintext.data(), result.bytes);
      handlers->on_data.call({copy});
      continue;
    }
    if (result.status == TlsStatus::kWantSign) post_sign_request();
    if (result.status == TlsStatus::kError) fail_from_stream();
    const bool ended =
        result.status == TlsStatus::kEnd || (result.status == TlsStatus::kWantRead && peer_finished_);
    if (!ended) return;
    end_emitted_ = true;
    handlers->on_end.call({});
  }
}

void TlsConnection::encrypt_queue() {
  std::size_t taken = 0;
  while (taken < queue_.size()) {
    const std::size_t length = std::min(queue_.size() - taken, TlsStream::kMaxPlaintext);
    if (stream_->write(queue_.data() + taken, length) != TlsStatus::kOk) break;
    taken += length;
  }
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
}

void TlsConnection::step_write() {
  // As long as the socket takes all, the next part of the queue can be encrypted.
  do {
    if (!queue_.empty()) encrypt_queue();
    const TlsResult result = stream_->flush();
    if (result.status == TlsStatus::kError) {
      close_now(stream_->error_code(), stream_->error());
      return;
    }
    if (result.status == TlsStatus::kBlocked || result.bytes == 0) break;
  } while (!queue_.empty());
  if (!wants_drain_ || backlog() > kLowWater || state_ != State::kOpen) return;
  wants_drain_ = false;
  const auto handlers = handlers_;
  handlers->on_drain.call({});
}

std::size_t TlsConnection::backlog() const {
  return stream_ != nullptr ? queue_.size() + stream_->pending_output() : 0;
}

void TlsConnection::begin_close(int alert) {
  if (stream_ == nullptr || state_ == State::kClosing) return;
  if (state_ == State::kHandshake) {
    close_now("", "");
    return;
  }
  state_ = State::kClosing;
  alert_ = alert;
  close_timer_.start(kCloseTimeout);
  // The rest happens in the loop, so that no handler runs inside end().
  soon_.start(0);
}

/// The stream failed: its alert still goes out, and the close waits for the peer so that a reset does not eat it.
void TlsConnection::fail_from_stream() {
  error_code_ = stream_->error_code();
  error_message_ = stream_->error();
  state_ = State::kClosing;
  queue_.clear();
  said_goodbye_ = true;
  close_timer_.start(kCloseTimeout);
}

void TlsConnection::step_close() {
  stream_->discard_input();
  if (!said_goodbye_ && queue_.empty()) {
    said_goodbye_ = true;
    if (alert_ == kNoAlert) {
      stream_->close_notify();
    } else {
      stream_->send_fatal_alert(static_cast<std::uint8_t>(alert_));
    }
    step_write();
  }
  if (stream_ == nullptr || !said_goodbye_ || stream_->pending_output() > 0) return;
  if (!fin_sent_) {
    fin_sent_ = true;
    ::shutdown(stream_->fd(), SHUT_WR);
  }
  if (peer_finished_) close_now("", "");
}

void TlsConnection::update_events() {
  int events = 0;
  const bool room = stream_->input_room() > 0;
  const bool wants_input = state_ != State::kOpen || (!paused_ && !end_emitted_);
  if (!peer_finished_ && wants_input && room) events |= LoopPoll::kReadable;
  if (stream_->pending_output() > 0) events |= LoopPoll::kWritable;
  const int error = poll_.set(events);
  if (error != 0) close_now("ERR_TLS_POLL", "the descriptor cannot be polled");
}

/// Ends everything but the last call-back, which comes from the loop. An earlier error stays.
void TlsConnection::close_now(const std::string& code, const std::string& message) {
  if (state_ == State::kClosed) return;
  if (error_code_.empty()) {
    error_code_ = code;
    error_message_ = message;
  }
  state_ = State::kClosed;
  bytes_read_ = stream_->bytes_received();
  poll_.close();
  close_timer_.close();
  stream_.reset();
  queue_.clear();
  soon_.start(0);
}

void TlsConnection::emit_close() {
  soon_.close();
  const auto handlers = std::move(handlers_);
  Napi::Env env = Env();
  handlers->on_close.call({make_error(env, error_code_, error_message_), Napi::Number::New(env, bytes_read_)});
  Unref();
}

Napi::Object tls_info(Napi::Env env, const TlsStream& stream) {
  const TlsFacts facts = tls_facts(stream);
  Napi::Object info = Napi::Object::New(env);
  info.Set("version", facts.version);
  info.Set("cipher", facts.cipher);
  info.Set("group", facts.group);
  info.Set("signatureScheme", static_cast<double>(facts.signature_scheme));
  info.Set("keyIndex", static_cast<double>(facts.key_index));
  info.Set("serverName", facts.server_name);
  info.Set("vhost", facts.vhost);
  info.Set("resumed", facts.resumed);
  info.Set("secureRenegotiation", facts.secure_renegotiation);
  info.Set("peerCertificate", facts.peer_certificate.empty()
                                  ? env.Null()
                                  : Napi::Value(copy_to_buffer(env, facts.peer_certificate.data(),
                                                               facts.peer_certificate.size())));
  info.Set("verifyError", facts.verify_error);
  return info;
}

}  // namespace ocvpn::napi
