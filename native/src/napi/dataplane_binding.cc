// `Dataplane` of NativeBinding: checks and converts arguments, turns loop events into JavaScript objects.
#include <arpa/inet.h>
#include <napi.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/engine.h"
#include "dataplane/shepherd.h"
#include "napi/callback.h"
#include "napi/env_state.h"
#include "napi/loop_poll.h"
#include "napi/module.h"
#include "napi/napi_util.h"
#include "napi/tls_binding.h"

namespace ocvpn::napi {

namespace {

using dataplane::CloseReason;
using dataplane::Counters;
using dataplane::DtlsMode;
using dataplane::Engine;
using dataplane::Event;
using dataplane::EventType;
using dataplane::Shepherd;
using dataplane::TunnelHost;
using dataplane::TunnelOptions;

// CloseReason of types.ts, in the order of dataplane::CloseReason.
constexpr const char* kReasons[] = {
    "unspecified",    "user-disconnect", "server-disconnect", "idle-timeout",         "dpd-timeout",
    "error",          "session-timeout", "temporary-disconnect", "health-probe",
};

constexpr int64_t kMaxSeconds = 0xffffffff;
constexpr int64_t kMaxSafe = (int64_t{1} << 53) - 1;
constexpr int64_t kMinMtu = 68;
// A record's plaintext less the CSTP header.
constexpr int64_t kMaxMtu = 16376;

bool parse_reason(const std::string& text, CloseReason* out) {
  for (size_t i = 0; i < std::size(kReasons); ++i) {
    if (text != kReasons[i]) continue;
    *out = static_cast<CloseReason>(i);
    return true;
  }
  return false;
}

// Addresses as text; absent is null.
bool read_address(Options& options, const char* key, int family, bool* present, uint8_t* out) {
  std::optional<std::string> text = options.optional_text(key);
  *present = text.has_value();
  if (!text || inet_pton(family, text->c_str(), out) == 1) return true;
  throw_argument_error(options.env(), std::string(key) + " is not an address: " + *text);
  return false;
}

bool read_fixed(Options& options, const char* key, uint8_t* out, size_t size) {
  ByteView bytes = options.bytes(key);
  if (!options.ok()) return false;
  if (bytes.size != size) {
    throw_argument_error(options.env(), std::string(key) + " must have " + std::to_string(size) + " bytes");
    return false;
  }
  std::copy_n(bytes.data, size, out);
  return true;
}

bool read_dtls(Options& options, dataplane::DtlsOptions* out) {
  if (!options.has("dtls")) return true;
  Options dtls = options.nested("dtls");
  std::string mode = dtls.text("mode");
  out->ciphers = dtls.text("ciphers");
  if (!dtls.ok()) return false;
  if (mode == "psk") {
    out->mode = DtlsMode::psk;
    return true;
  }
  if (mode != "legacy") {
    throw_argument_error(options.env(), "dtls.mode must be 'psk' or 'legacy'");
    return false;
  }
  out->mode = DtlsMode::legacy;
  return read_fixed(dtls, "masterSecret", out->master_secret.data(), out->master_secret.size()) &&
         read_fixed(dtls, "sessionId", out->session_id.data(), out->session_id.size());
}

// X-CSTP-Content-Encoding and X-DTLS-Content-Encoding; absent is none.
bool read_compression(Options& options, const char* key, pkt::Compression* out) {
  std::optional<std::string> name = options.optional_text(key);
  if (!name) return options.ok();
  if (*name == "oc-lz4") {
    *out = pkt::Compression::kLz4;
  } else if (*name == "lzs") {
    *out = pkt::Compression::kLzs;
  } else {
    throw_argument_error(options.env(), std::string(key) + " must be 'oc-lz4' or 'lzs'");
    return false;
  }
  return true;
}

bool read_offloads(Options& options, dataplane::Offloads* out) {
  Options switches = options.nested("offloads");
  out->udp_segment = switches.flag("udpSegment");
  out->udp_gro = switches.flag("udpGro");
  out->tun_coalesce = switches.flag("tunCoalesce");
  out->tls_batch = switches.flag("tlsBatch");
  out->turn_pace = switches.flag("turnPace");
  out->ack_filter = switches.flag("ackFilter");
  out->own_records = switches.flag("ownRecords");
  out->send_pace = switches.flag("sendPace");
  out->stream_room = switches.flag("streamRoom");
  return switches.ok();
}

bool read_addresses(Options& options, TunnelOptions* out) {
  if (!read_address(options, "clientIpv4", AF_INET, &out->has_client_ipv4, out->client_ipv4.data()) ||
      !read_address(options, "localIpv4", AF_INET, &out->has_local_ipv4, out->local_ipv4.data()) ||
      !read_address(options, "localIpv6", AF_INET6, &out->has_local_ipv6, out->local_ipv6.data())) {
    return false;
  }
  if (!options.has("clientIpv6")) return true;
  Options ipv6 = options.nested("clientIpv6");
  out->client_ipv6.prefix = static_cast<unsigned>(ipv6.integer("prefix", 0, 128));
  return ipv6.ok() &&
         read_address(ipv6, "address", AF_INET6, &out->has_client_ipv6, out->client_ipv6.address.data());
}

// false: an exception is pending.
bool read_tunnel_options(Options& options, TunnelOptions* out) {
  out->tun_fd = static_cast<int>(options.integer("tunFd", 0, INT32_MAX));
  out->tun_vnet_hdr = options.flag("tunVnetHdr");
  out->tun_tso = options.flag("tunTso");
  out->tun_uso = options.flag("tunUso");
  out->data_mtu = static_cast<uint32_t>(options.integer("dataMtu", kMinMtu, kMaxMtu));
  out->max_data_mtu = static_cast<uint32_t>(options.integer("maxDataMtu", kMinMtu, kMaxMtu));
  auto seconds = [&options](const char* key) { return static_cast<uint32_t>(options.integer(key, 0, kMaxSeconds)); };
  out->dpd_sec = seconds("dpdSec");
  out->keepalive_sec = seconds("keepaliveSec");
  out->idle_timeout_sec = seconds("idleTimeoutSec");
  out->session_timeout_sec = seconds("sessionTimeoutSec");
  out->switch_to_tcp_sec = seconds("switchToTcpSec");
  out->rekey_sec = seconds("rekeySec");
  out->mtu_discovery = options.flag("mtuDiscovery");
  out->send_buffer_bytes = static_cast<uint32_t>(options.integer("sendBufferBytes", 0, INT32_MAX));
  out->rx_bytes_per_sec = static_cast<uint64_t>(options.integer("rxBytesPerSec", 0, kMaxSafe));
  out->tx_bytes_per_sec = static_cast<uint64_t>(options.integer("txBytesPerSec", 0, kMaxSafe));
  out->no_compress_limit = static_cast<uint32_t>(options.integer("noCompressLimit", 1, INT32_MAX));
  return options.ok() && read_dtls(options, &out->dtls) &&
         read_compression(options, "cstpCompression", &out->cstp_compression) &&
         read_compression(options, "dtlsCompression", &out->dtls_compression) && read_offloads(options, &out->offloads) &&
         read_addresses(options, out);
}

std::vector<uint8_t> to_vector(ByteView bytes) { return {bytes.data, bytes.data + bytes.size}; }

class DataplaneWrap : public Napi::ObjectWrap<DataplaneWrap> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit DataplaneWrap(const Napi::CallbackInfo& info);
  ~DataplaneWrap() override { stop(); }

 private:
  void start_template(const Napi::CallbackInfo& info);
  Napi::Value open(const Napi::CallbackInfo& info);
  void attach_udp(const Napi::CallbackInfo& info);
  void terminate(const Napi::CallbackInfo& info);
  void complete_sign(const Napi::CallbackInfo& info);
  void kill(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value activity(const Napi::CallbackInfo& info);
  const Counters* counters_argument(const Napi::CallbackInfo& info, const char* method);
  Napi::Value process_id(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Napi::Object counters_object(const Counters& counters);
  Napi::Object event_object(const Event& event);
  void deliver_events();
  void stop();

  std::unique_ptr<TunnelHost> host_;
  std::unique_ptr<LoopCallback> on_event_;
  LoopPoll poll_;
  std::unique_ptr<CleanupHook> cleanup_;
};

struct DataplaneClass {
  Napi::FunctionReference constructor;
};

Napi::Function DataplaneWrap::define(Napi::Env env) {
  return DefineClass(env, "Dataplane",
                     {
                         InstanceMethod("startTemplate", &DataplaneWrap::start_template),
                         InstanceMethod("open", &DataplaneWrap::open),
                         InstanceMethod("attachUdp", &DataplaneWrap::attach_udp),
                         InstanceMethod("terminate", &DataplaneWrap::terminate),
                         InstanceMethod("completeSign", &DataplaneWrap::complete_sign),
                         InstanceMethod("kill", &DataplaneWrap::kill),
                         InstanceMethod("counters", &DataplaneWrap::counters),
                         InstanceMethod("activity", &DataplaneWrap::activity),
                         InstanceMethod("processId", &DataplaneWrap::process_id),
                         InstanceMethod("close", &DataplaneWrap::close),
                     });
}

DataplaneWrap::DataplaneWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DataplaneWrap>(info) {
  Args args(info);
  Napi::Function handler = args.function(0, "onEvent");
  const bool processes = args.boolean(1, "processes");
  if (!args.ok()) return;
  if (processes) {
    host_ = Shepherd::create();
  } else {
    host_ = Engine::create();
  }
  if (host_ == nullptr) {
    throw_sys_error(info.Env(), processes ? "epoll_create1" : "socketpair", errno);
    return;
  }
  on_event_ = std::make_unique<LoopCallback>(handler, "ocvpn.Dataplane");
  int failed = poll_.open(info.Env(), host_->event_fd(), [this](int) { deliver_events(); });
  if (failed == 0) failed = poll_.set(LoopPoll::kReadable);
  if (failed != 0) {
    stop();
    throw_sys_error(info.Env(), "uv_poll", failed);
    return;
  }
  cleanup_ = std::make_unique<CleanupHook>(info.Env(), [this] { stop(); });
  Ref();  // until close(): the loops serve people even if JavaScript forgot the object
}

void DataplaneWrap::start_template(const Napi::CallbackInfo& info) {
  if (host_ == nullptr || !host_->start_template()) throw_sys_error(info.Env(), "fork", host_ ? errno : ESHUTDOWN);
}

Napi::Value DataplaneWrap::open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  ByteView response = args.bytes(1, "response");
  ByteView head = args.bytes(2, "head");
  if (!args.ok()) return env.Undefined();
  Options reader(env, info[3], "options");
  TunnelOptions options;
  if (!reader.ok() || !read_tunnel_options(reader, &options)) return env.Undefined();
  if (host_ == nullptr) return throw_sys_error(env, "open", ESHUTDOWN);
  std::unique_ptr<TlsStream> stream = take_tls_stream(env, info[0]);
  if (stream == nullptr) return env.Undefined();
  uint32_t id = host_->open(std::move(stream), to_vector(response), to_vector(head), options);
  OPENSSL_cleanse(options.dtls.master_secret.data(), options.dtls.master_secret.size());
  if (id == 0) return throw_sys_error(env, "open", errno);
  return Napi::Number::New(env, id);
}

void DataplaneWrap::attach_udp(const Napi::CallbackInfo& info) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  int fd = args.fd(1);
  bool hello = args.boolean(2, "hello");
  ByteView datagram = args.bytes(3, "datagram");
  if (!args.ok()) return;
  if (host_ == nullptr) {
    ::close(fd);
    return;
  }
  host_->attach_udp(id, fd, hello, datagram.data, datagram.size);
}

void DataplaneWrap::terminate(const Napi::CallbackInfo& info) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  std::string how = args.text(1, "how");
  std::string reason_text = args.text(2, "reason");
  CloseReason reason = CloseReason::unspecified;
  if (!args.ok()) return;
  if ((how != "disconnect" && how != "drop") || !parse_reason(reason_text, &reason)) {
    return throw_argument_error(info.Env(), "terminate: unknown way '" + how + "' or reason '" + reason_text + "'");
  }
  if (host_ != nullptr) host_->terminate(id, how == "disconnect", reason);
}

void DataplaneWrap::kill(const Napi::CallbackInfo& info) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  if (args.ok() && host_ != nullptr) host_->kill(id);
}

void DataplaneWrap::complete_sign(const Napi::CallbackInfo& info) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  auto request_id = static_cast<uint32_t>(args.integer(1, "requestId", 0, UINT32_MAX));
  ByteView signature;
  if (!info[2].IsNull()) signature = args.bytes(2, "signature");
  if (!args.ok() || host_ == nullptr) return;
  host_->complete_sign(id, request_id, info[2].IsNull() ? nullptr : signature.data, signature.size);
}

Napi::Object DataplaneWrap::counters_object(const Counters& counters) {
  Napi::Env env = Env();
  Napi::Object object = Napi::Object::New(env);
#define X(name) object.Set(#name, Napi::Number::New(env, static_cast<double>(counters.name.get())));
  OCVPN_TUNNEL_COUNTERS(X)
#undef X
  object.Set("idleMs", Napi::Number::New(env, static_cast<double>(host_->idle_ms(counters))));
  object.Set("dtlsActive", Napi::Number::New(env, static_cast<double>(counters.dtlsActive.get())));
  return object;
}

/** Throws in JavaScript and returns nullptr when the first argument is not the id of a tunnel. */
const Counters* DataplaneWrap::counters_argument(const Napi::CallbackInfo& info, const char* method) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  if (!args.ok()) return nullptr;
  const Counters* counters = host_ == nullptr ? nullptr : host_->counters(id);
  if (counters == nullptr)
    throw_argument_error(info.Env(), std::string(method) + ": no tunnel " + std::to_string(id));
  return counters;
}

Napi::Value DataplaneWrap::counters(const Napi::CallbackInfo& info) {
  const Counters* counters = counters_argument(info, "counters");
  return counters == nullptr ? Env().Undefined() : counters_object(*counters);
}

Napi::Value DataplaneWrap::activity(const Napi::CallbackInfo& info) {
  const Counters* counters = counters_argument(info, "activity");
  if (counters == nullptr) return Env().Undefined();
  const Counters& c = *counters;
  const uint64_t packets = c.rxBytes.get() + c.rxPackets.get() + c.txBytes.get() + c.txPackets.get();
  const uint64_t drops = c.dropsTooBig.get() + c.dropsMalformed.get() + c.dropsSource.get() + c.dropsRateLimit.get() +
                         c.dropsStreamFull.get() + c.dropsTunFull.get() + c.dropsReplay.get();
  return Napi::Number::New(Env(), static_cast<double>((packets + drops) * 2 + c.dtlsActive.get()));
}

Napi::Value DataplaneWrap::process_id(const Napi::CallbackInfo& info) {
  Args args(info);
  auto id = static_cast<uint32_t>(args.integer(0, "id", 1, UINT32_MAX));
  if (!args.ok()) return Env().Undefined();
  return Napi::Number::New(Env(), host_ == nullptr ? 0 : host_->process(id));
}

Napi::Object DataplaneWrap::event_object(const Event& event) {
  Napi::Env env = Env();
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", Napi::Number::New(env, event.id));
  switch (event.type) {
    case EventType::dtls_up:
      object.Set("type", "dtls-up");
      object.Set("version", event.version);
      object.Set("cipher", event.cipher);
      object.Set("milliseconds", Napi::Number::New(env, event.milliseconds));
      break;
    case EventType::dtls_down:
      object.Set("type", "dtls-down");
      object.Set("detail", event.detail);
      break;
    case EventType::roamed:
      object.Set("type", "roamed");
      object.Set("accepted", Napi::Boolean::New(env, event.accepted));
      break;
    case EventType::mtu:
      object.Set("type", "mtu");
      object.Set("mtu", Napi::Number::New(env, event.mtu));
      break;
    case EventType::sign:
      object.Set("type", "sign");
      object.Set("requestId", Napi::Number::New(env, event.request_id));
      object.Set("keyIndex", Napi::Number::New(env, event.key_index));
      object.Set("scheme", Napi::Number::New(env, event.scheme));
      object.Set("data", copy_to_buffer(env, host_->event_payload(), event.payload_length));
      break;
    case EventType::closed: {
      const Counters* counters = host_->counters(event.id);
      object.Set("type", "closed");
      object.Set("reason", kReasons[static_cast<size_t>(event.reason)]);
      object.Set("detail", event.detail);
      if (counters != nullptr) object.Set("counters", counters_object(*counters));
      break;
    }
    case EventType::template_lost:
      object.Set("type", "template-lost");
      object.Set("detail", event.detail);
      break;
  }
  return object;
}

void DataplaneWrap::deliver_events() {
  // The handler may call close(), which frees the engine.
  Event event;
  while (host_ != nullptr && host_->next_event(&event)) {
    Napi::HandleScope scope(Env());
    Napi::Object object = event_object(event);
    if (event.type == EventType::closed) host_->forget(event.id);
    on_event_->call({object});
  }
}

void DataplaneWrap::close(const Napi::CallbackInfo& info) {
  if (host_ == nullptr) return;
  host_->stop();
  deliver_events();
  if (host_ == nullptr) return;
  stop();
  Unref();
}

void DataplaneWrap::stop() {
  poll_.close();
  host_.reset();
}

Napi::Value create_dataplane(const Napi::CallbackInfo& info) {
  return EnvState::get<DataplaneClass>(info.Env()).constructor.New({info[0], info[1]});
}

}  // namespace

void init_dataplane(Napi::Env env, Napi::Object exports) {
  EnvState::get<DataplaneClass>(env).constructor = Napi::Persistent(DataplaneWrap::define(env));
  exports.Set("createDataplane", Napi::Function::New(env, create_dataplane, "createDataplane"));
}

}  // namespace ocvpn::napi
