// The addon of the GSSAPI plugin; its TypeScript face is ../src/addon.ts.
//
// Each leg runs on a thread of its own, because it may block: on a keytab in a network, on the user's groups. The thread
// keeps the negotiation alive and tells the outcome through a thread-safe function, also when nobody waits any more.

#include <napi.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <atomic>
#include <utility>

#include "acceptor.h"

namespace {

std::atomic<int> running_legs{0};

struct Leg {
  std::shared_ptr<Negotiation> negotiation;
  std::string token;
  LegOutcome outcome;
  napi_threadsafe_function done;
};

Napi::Object ToObject(Napi::Env env, const LegOutcome& outcome) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("error", outcome.error);
  object.Set("complete", outcome.complete);
  object.Set("token", Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t*>(outcome.token.data()),
                                                  outcome.token.size()));
  object.Set("principal", outcome.principal);
  object.Set("localName", outcome.local_name);
  object.Set("authTime", static_cast<double>(outcome.auth_time));
  Napi::Array groups = Napi::Array::New(env);
  for (const UnixGroup& group : outcome.groups) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", group.name);
    entry.Set("gid", static_cast<double>(group.gid));
    groups.Set(groups.Length(), entry);
  }
  object.Set("groups", groups);
  return object;
}

// On the JavaScript thread. Without `env` the process is ending.
void TellOutcome(napi_env raw_env, napi_value callback, void*, void* data) {
  std::unique_ptr<Leg> leg(static_cast<Leg*>(data));
  if (raw_env == nullptr || callback == nullptr) return;
  Napi::Env env(raw_env);
  Napi::HandleScope scope(env);
  Napi::Function(env, callback).Call({ToObject(env, leg->outcome)});
}

void* RunLeg(void* data) {
  Leg* leg = static_cast<Leg*>(data);
  leg->outcome = leg->negotiation->Accept(leg->token);
  running_legs--;
  napi_threadsafe_function done = leg->done;
  // Refused only when the process is ending, and then the function is released by the refusal.
  if (napi_call_threadsafe_function(done, leg, napi_tsfn_nonblocking) != napi_ok) {
    delete leg;
  } else {
    napi_release_threadsafe_function(done, napi_tsfn_release);
  }
  return nullptr;
}

// An errno, 0 for success. Owns `leg` from then on if it succeeds.
int StartThread(Leg* leg) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // Signals are for the main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  running_legs++;
  int error = pthread_create(&thread, &attributes, RunLeg, leg);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) running_legs--;
  return error;
}

class NegotiationHandle : public Napi::ObjectWrap<NegotiationHandle> {
 public:
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "Negotiation", {InstanceMethod("accept", &NegotiationHandle::Accept)});
  }

  // new Negotiation(credential)
  explicit NegotiationHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NegotiationHandle>(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
      Napi::TypeError::New(info.Env(), "new Negotiation(credential)").ThrowAsJavaScriptException();
      return;
    }
    auto* credential = info[0].As<Napi::External<std::shared_ptr<const Credential>>>().Data();
    negotiation_ = std::make_shared<Negotiation>(*credential);
  }

 private:
  Napi::Value Accept(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (info.Length() != 2 || !info[0].IsTypedArray() || !info[1].IsFunction() ||
        info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      Napi::TypeError::New(env, "accept(token: Uint8Array, done)").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    Napi::Uint8Array token = info[0].As<Napi::Uint8Array>();
    auto leg = std::make_unique<Leg>();
    leg->negotiation = negotiation_;
    leg->token.assign(reinterpret_cast<const char*>(token.Data()), token.ByteLength());
    Napi::String name = Napi::String::New(env, "ocvpn_gssapi");
    if (napi_create_threadsafe_function(env, info[1], nullptr, name, 0, 1, nullptr, nullptr, nullptr, TellOutcome,
                                        &leg->done) != napi_ok) {
      Napi::Error::New(env, "no thread-safe function").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    napi_unref_threadsafe_function(env, leg->done);
    int error = StartThread(leg.get());
    if (error == 0) {
      leg.release();
    } else {
      napi_release_threadsafe_function(leg->done, napi_tsfn_release);
      Napi::Error::New(env, std::string("no thread: ") + strerror(error)).ThrowAsJavaScriptException();
    }
    return env.Undefined();
  }

  std::shared_ptr<Negotiation> negotiation_;
};

// acquire(keytab): the credential, or the reason why there is none.
Napi::Value Acquire(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() != 1 || !info[0].IsString()) {
    Napi::TypeError::New(env, "acquire(keytab: string)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  std::string error;
  auto credential = Credential::Acquire(info[0].As<Napi::String>().Utf8Value(), &error);
  if (!credential) return Napi::String::New(env, error);
  auto* kept = new std::shared_ptr<const Credential>(std::move(credential));
  return Napi::External<std::shared_ptr<const Credential>>::New(
      env, kept, [](Napi::Env, std::shared_ptr<const Credential>* data) { delete data; });
}

Napi::Value RunningLegs(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), running_legs); }

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Negotiation", NegotiationHandle::Class(env));
  exports.Set("acquire", Napi::Function::New(env, Acquire, "acquire"));
  exports.Set("runningLegs", Napi::Function::New(env, RunningLegs, "runningLegs"));
  return exports;
}

}  // namespace

NODE_API_MODULE(ocvpn_gssapi, Init)
