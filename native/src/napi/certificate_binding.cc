// `createCertificateVerifier` and `createPkcs12` of NativeBinding (src/core/native/types.ts).
#include <openssl/crypto.h>

#include "dataplane/client_trust.h"
#include "dataplane/pkcs12.h"
#include "napi/env_state.h"
#include "napi/module.h"
#include "napi/napi_util.h"

namespace ocvpn::napi {
namespace {

// More certificates than a chain can have.
constexpr std::uint32_t kMaxChain = 16;

std::string string_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }

void throw_certificate_error(Napi::Env env, const std::string& reason) {
  Napi::Error error = Napi::Error::New(env, reason);
  error.Set("code", Napi::String::New(env, "ERR_CERTIFICATE"));
  error.ThrowAsJavaScriptException();
}

class CertificateVerifier : public Napi::ObjectWrap<CertificateVerifier> {
 public:
  static Napi::Function constructor(Napi::Env env) {
    return DefineClass(env, "CertificateVerifier", {InstanceMethod<&CertificateVerifier::verify>("verify")});
  }

  explicit CertificateVerifier(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CertificateVerifier>(info) {
    trust_ = std::move(*info[0].As<Napi::External<std::unique_ptr<ClientTrust>>>().Data());
  }

 private:
  Napi::Value verify(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info[0].IsArray() || info[0].As<Napi::Array>().Length() > kMaxChain) {
      throw_argument_error(env, "chain must be an array of at most " + std::to_string(kMaxChain));
      return env.Undefined();
    }
    const Napi::Array array = info[0].As<Napi::Array>();
    ValueReader reader(env);
    std::vector<std::string> chain;
    for (std::uint32_t i = 0; i < array.Length() && reader.ok(); i++)
      chain.push_back(string_of(reader.bytes(array.Get(i), "chain[]")));
    return reader.ok() ? Napi::String::New(env, trust_->verify(chain)).As<Napi::Value>() : env.Undefined();
  }

  std::unique_ptr<ClientTrust> trust_;
};

struct CertificateClasses {
  Napi::FunctionReference verifier;
};

Napi::Value create_certificate_verifier(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "options");
  if (!options.ok()) return env.Undefined();
  const std::string ca = string_of(options.bytes("ca"));
  const std::string crl = string_of(options.optional_bytes("crl").value_or(ByteView{}));
  if (!options.ok()) return env.Undefined();
  std::string reason;
  std::unique_ptr<ClientTrust> trust = ClientTrust::create(ca, crl, &reason);
  if (trust == nullptr) {
    throw_certificate_error(env, reason);
    return env.Undefined();
  }
  auto& known = EnvState::get<CertificateClasses>(env);
  if (known.verifier.IsEmpty()) known.verifier = Napi::Persistent(CertificateVerifier::constructor(env));
  return known.verifier.New({Napi::External<std::unique_ptr<ClientTrust>>::New(env, &trust)});
}

void wipe(std::string* secret) { OPENSSL_cleanse(secret->data(), secret->size()); }

Napi::Value create_pkcs12(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "options");
  if (!options.ok()) return env.Undefined();
  Pkcs12Options wanted;
  wanted.certificate = string_of(options.bytes("certificate"));
  wanted.key = string_of(options.bytes("key"));
  wanted.authorities = string_of(options.bytes("authorities"));
  wanted.password = options.text("password");
  wanted.friendly_name = options.text("friendlyName");
  wanted.legacy = options.flag("legacy");
  std::string reason;
  const std::vector<std::uint8_t> der =
      options.ok() ? make_pkcs12(wanted, &reason) : std::vector<std::uint8_t>();
  wipe(&wanted.key);
  wipe(&wanted.password);
  if (!options.ok()) return env.Undefined();
  if (der.empty()) {
    throw_certificate_error(env, reason);
    return env.Undefined();
  }
  return copy_to_buffer(env, der.data(), der.size());
}

}  // namespace

void init_certificates(Napi::Env env, Napi::Object exports) {
  exports.Set("createCertificateVerifier",
              Napi::Function::New<create_certificate_verifier>(env, "createCertificateVerifier"));
  exports.Set("createPkcs12", Napi::Function::New<create_pkcs12>(env, "createPkcs12"));
}

}  // namespace ocvpn::napi
