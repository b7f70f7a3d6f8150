// The `TlsConnection` of NativeBinding: a TlsStream on the libuv loop.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/tls_stream.h"
#include "napi/callback.h"
#include "napi/loop_poll.h"
#include "napi/loop_timer.h"

namespace ocvpn::napi {

/// One connection until it is closed or moved into the data plane. While it is open it keeps its JavaScript object
/// and the process alive, as every socket of Node; the end of the environment closes it.
class TlsConnection : public Napi::ObjectWrap<TlsConnection> {
 public:
  static Napi::Function constructor(Napi::Env env);
  /// Arguments: context (External<TlsContext>), fd, handlers. Owns fd as soon as it is a number.
  explicit TlsConnection(const Napi::CallbackInfo& info);

  /// Takes the TLS state and the descriptor out of an open connection, with what was read beyond what JavaScript
  /// got and what is not sent yet. null: handshake not complete, closing, or plaintext or a signature pending.
  /// The object is dead afterwards, without onClose.
  std::unique_ptr<TlsStream> release();

 private:
  /// kClosing: output is flushed, then FIN, then the peer's FIN is awaited.
  enum class State { kHandshake, kOpen, kClosing, kClosed };

  struct Handlers {
    explicit Handlers(Napi::Object object);
    LoopCallback on_sign;
    LoopCallback on_secure;
    LoopCallback on_data;
    LoopCallback on_end;
    LoopCallback on_drain;
    LoopCallback on_close;
  };

  // JavaScript's methods
  Napi::Value complete_sign(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  void pause(const Napi::CallbackInfo& info);
  void resume(const Napi::CallbackInfo& info);
  void end(const Napi::CallbackInfo& info);
  void end_with_alert(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value take_client_handshake(const Napi::CallbackInfo& info);

  // Machine
  void on_events(int events);
  void receive();
  void pump();
  void step();
  void step_handshake();
  void step_read();
  void step_write();
  void step_close();
  void post_sign_request();
  void encrypt_queue();
  void update_events();
  void begin_close(int alert);
  void fail_from_stream();
  void close_now(const std::string& code, const std::string& message);
  void emit_close();
  std::size_t backlog() const;

  std::unique_ptr<TlsStream> stream_;
  std::shared_ptr<Handlers> handlers_;
  LoopPoll poll_;
  LoopTimer soon_;
  LoopTimer close_timer_;
  State state_ = State::kHandshake;
  /// Plaintext that JavaScript wrote and the stream did not take yet.
  std::vector<std::uint8_t> queue_;
  std::uint64_t bytes_read_ = 0;
  std::string error_code_;
  std::string error_message_;
  std::uint32_t posted_sign_ = 0;
  int alert_ = -1;
  bool paused_ = false;
  bool pumping_ = false;
  bool again_ = false;
  bool wants_drain_ = false;
  bool peer_finished_ = false;
  bool end_emitted_ = false;
  bool said_goodbye_ = false;
  bool fin_sent_ = false;
};

/// JavaScript view of what was negotiated (TlsInfo).
Napi::Object tls_info(Napi::Env env, const TlsStream& stream);

}  // namespace ocvpn::napi
