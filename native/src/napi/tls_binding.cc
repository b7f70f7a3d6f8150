// `createTlsContext`, `checkTlsSuites` and `acceptTls` of NativeBinding (src/core/native/types.ts).
#include "napi/tls_binding.h"

#include <unistd.h>

#include <cctype>

#include "dataplane/tls_context.h"
#include "napi/env_state.h"
#include "napi/module.h"
#include "napi/napi_util.h"
#include "napi/tls_connection.h"

namespace ocvpn::napi {
namespace {

// Tell our objects from others before they are unwrapped (napi_type_tag_object).
constexpr napi_type_tag kContextTag = {0x6f637670'6e746c73ULL, 0x636f6e74'65787400ULL};
constexpr napi_type_tag kConnectionTag = {0x6f637670'6e746c73ULL, 0x636f6e6e'65637400ULL};

class TlsServerContext : public Napi::ObjectWrap<TlsServerContext> {
 public:
  static Napi::Function constructor(Napi::Env env) {
    return DefineClass(env, "TlsServerContext",
                       {InstanceMethod<&TlsServerContext::add_server_name>("addServerName"),
                        InstanceMethod<&TlsServerContext::set_ticket_keys>("setTicketKeys")});
  }

  explicit TlsServerContext(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TlsServerContext>(info) {
    context_ = *info[0].As<Napi::External<std::shared_ptr<TlsContext>>>().Data();
  }

  std::shared_ptr<TlsContext>& context() { return context_; }

 private:
  void add_server_name(const Napi::CallbackInfo& info);
  void set_ticket_keys(const Napi::CallbackInfo& info);

  std::shared_ptr<TlsContext> context_;
};

struct TlsClasses {
  Napi::FunctionReference context;
  Napi::FunctionReference connection;
};

TlsClasses& classes(Napi::Env env) {
  auto& known = EnvState::get<TlsClasses>(env);
  if (known.context.IsEmpty()) {
    known.context = Napi::Persistent(TlsServerContext::constructor(env));
    known.connection = Napi::Persistent(TlsConnection::constructor(env));
  }
  return known;
}

bool has_tag(Napi::Value value, const napi_type_tag& tag) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag);
}

TlsServerContext* context_of(Napi::Env env, Napi::Value value) {
  if (has_tag(value, kContextTag)) return TlsServerContext::Unwrap(value.As<Napi::Object>());
  throw_argument_error(env, "context must come from createTlsContext");
  return nullptr;
}

void TlsServerContext::add_server_name(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string server_name = args.text(0, "serverName");
  const std::string vhost = args.ok() ? args.text(2, "vhost") : std::string();
  if (!args.ok()) return;
  TlsServerContext* other = context_of(info.Env(), info[1]);
  if (other != nullptr) context_->add_server_name(server_name, other->context_, vhost);
}

void TlsServerContext::set_ticket_keys(const Napi::CallbackInfo& info) {
  Args args(info);
  const ByteView keys = args.bytes(0, "keys");
  const auto lifetime_sec = static_cast<std::uint32_t>(args.ok() ? args.integer(1, "lifetimeSec", 0, UINT32_MAX) : 0);
  if (!args.ok()) return;
  const std::size_t count = keys.size / TicketKeys::kKeySize;
  if (keys.size % TicketKeys::kKeySize != 0 || !context_->set_ticket_keys(keys.data, count, lifetime_sec))
    throw_argument_error(info.Env(), "keys must be one or two ticket keys of 80 bytes, or none");
}

int version_of(Options& options, const char* key) {
  const std::string text = options.text(key);
  if (!options.ok()) return 0;
  if (text == "TLSv1.2") return TLS1_2_VERSION;
  if (text == "TLSv1.3") return TLS1_3_VERSION;
  throw_argument_error(options.env(), std::string(key) + " must be 'TLSv1.2' or 'TLSv1.3'");
  return 0;
}

bool client_certificate_of(Options& options, ClientCertificate* mode) {
  const std::string text = options.text("clientCertificate");
  if (!options.ok()) return false;
  if (text == "none") *mode = ClientCertificate::kNone;
  else if (text == "request") *mode = ClientCertificate::kRequest;
  else if (text == "require") *mode = ClientCertificate::kRequire;
  else {
    throw_argument_error(options.env(), "clientCertificate must be 'none', 'request' or 'require'");
    return false;
  }
  return true;
}

bool chains_of(Napi::Env env, Napi::Value value, std::vector<std::string>* chains) {
  if (!value.IsArray()) {
    throw_argument_error(env, "certificateChains must be an array");
    return false;
  }
  const Napi::Array array = value.As<Napi::Array>();
  ValueReader reader(env);
  for (std::uint32_t i = 0; i < array.Length() && reader.ok(); i++) {
    const ByteView pem = reader.bytes(array.Get(i), "certificateChains[]");
    chains->emplace_back(reinterpret_cast<const char*>(pem.data), pem.size);
  }
  return reader.ok();
}

bool read_suites(Napi::Env env, Napi::Value value, TlsContextOptions* out) {
  Options options(env, value, "options");
  if (!options.ok()) return false;
  out->min_version = version_of(options, "minVersion");
  if (out->min_version == 0) return false;
  out->max_version = version_of(options, "maxVersion");
  if (out->max_version == 0) return false;
  out->cipher_list = options.optional_text("cipherList").value_or("");
  out->cipher_suites = options.optional_text("cipherSuites").value_or("");
  out->groups = options.optional_text("groups").value_or("");
  out->signature_algorithms = options.optional_text("signatureAlgorithms").value_or("");
  return options.ok();
}

bool read_options(Napi::Env env, Napi::Value value, TlsContextOptions* out) {
  if (!read_suites(env, value, out)) return false;
  Options options(env, value, "options");
  if (!chains_of(env, value.As<Napi::Object>().Get("certificateChains"), &out->certificate_chains)) return false;
  if (!client_certificate_of(options, &out->client_certificate)) return false;
  if (options.has("serverPreference")) out->server_preference = options.flag("serverPreference");
  if (const auto ca = options.optional_bytes("ca")) out->ca.assign(reinterpret_cast<const char*>(ca->data), ca->size);
  if (const auto response = options.optional_bytes("ocspResponse"))
    out->ocsp_response.assign(reinterpret_cast<const char*>(response->data), response->size);
  return options.ok();
}

Napi::Value create_tls_context(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  TlsContextOptions options;
  if (!read_options(env, info[0], &options)) return env.Undefined();
  std::string reason;
  std::shared_ptr<TlsContext> context = TlsContext::create(options, &reason);
  if (context == nullptr) {
    Napi::Error error = Napi::Error::New(env, reason);
    error.Set("code", Napi::String::New(env, "ERR_TLS_CONTEXT"));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object object = classes(env).context.New({Napi::External<std::shared_ptr<TlsContext>>::New(env, &context)});
  if (!env.IsExceptionPending()) object.TypeTag(&kContextTag);
  return object;
}

Napi::Value check_tls_suites(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  TlsContextOptions options;
  if (!read_suites(env, info[0], &options)) return env.Undefined();
  std::string reason;
  if (TlsContext::check_suites(options, &reason)) return env.Null();
  return Napi::String::New(env, reason);
}

bool are_handlers(Napi::Env env, Napi::Value value) {
  Options handlers(env, value, "handlers");
  for (const char* name : {"onSign", "onSecure", "onData", "onEnd", "onDrain", "onClose"}) {
    if (handlers.ok()) handlers.function(name);
  }
  return handlers.ok();
}

Napi::Value accept_tls(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(1);
  if (!args.ok()) return env.Undefined();
  TlsServerContext* context = context_of(env, info[0]);
  if (context == nullptr || !are_handlers(env, info[2])) {
    ::close(fd);
    return env.Undefined();
  }
  Napi::Object object = classes(env).connection.New(
      {Napi::External<std::shared_ptr<TlsContext>>::New(env, &context->context()), info[1], info[2]});
  if (!env.IsExceptionPending()) object.TypeTag(&kConnectionTag);
  return object;
}

}  // namespace

std::unique_ptr<TlsStream> take_tls_stream(Napi::Env env, Napi::Value connection) {
  if (!has_tag(connection, kConnectionTag)) {
    throw_argument_error(env, "connection must come from acceptTls");
    return nullptr;
  }
  std::unique_ptr<TlsStream> stream = TlsConnection::Unwrap(connection.As<Napi::Object>())->release();
  if (stream == nullptr) throw_argument_error(env, "the TLS connection is not open, or still has work to do");
  return stream;
}

void init_tls(Napi::Env env, Napi::Object exports) {
  exports.Set("checkTlsSuites", Napi::Function::New<check_tls_suites>(env, "checkTlsSuites"));
  exports.Set("createTlsContext", Napi::Function::New<create_tls_context>(env, "createTlsContext"));
  exports.Set("acceptTls", Napi::Function::New<accept_tls>(env, "acceptTls"));
}

}  // namespace ocvpn::napi
