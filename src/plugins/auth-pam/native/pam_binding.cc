// The addon of the PAM plugin; its TypeScript face is ../src/addon.ts.
//
// A Transaction's thread tells its events through a thread-safe function. That belongs to the thread until the outcome
// is told; Transaction::Abandon moves it to the JavaScript side, which then releases it.

#include <napi.h>
#include <string.h>

#include "transaction.h"

namespace {

Napi::Object ToObject(Napi::Env env, const PamOutcome& outcome) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("stage", outcome.stage);
  object.Set("code", outcome.code);
  object.Set("text", outcome.text);
  object.Set("user", outcome.user);
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

Napi::Array ToArray(Napi::Env env, const std::vector<PamMessage>& messages) {
  Napi::Array array = Napi::Array::New(env);
  for (const PamMessage& message : messages) {
    Napi::Object entry = Napi::Object::New(env);
    bool prompt = message.style == PAM_PROMPT_ECHO_OFF || message.style == PAM_PROMPT_ECHO_ON;
    entry.Set("kind", prompt ? "prompt" : message.style == PAM_ERROR_MSG ? "error" : "info");
    entry.Set("echo", message.style == PAM_PROMPT_ECHO_ON);
    entry.Set("text", message.text);
    array.Set(array.Length(), entry);
  }
  return array;
}

// On the JavaScript thread. Without `env` the process is ending.
void TellEvent(napi_env raw_env, napi_value callback, void*, void* data) {
  std::unique_ptr<PamEvent> event(static_cast<PamEvent*>(data));
  if (raw_env == nullptr || callback == nullptr) return;
  Napi::Env env(raw_env);
  Napi::HandleScope scope(env);
  Napi::Value messages = ToArray(env, event->messages);
  Napi::Value outcome = event->outcome ? ToObject(env, *event->outcome) : env.Null();
  Napi::Function(env, callback).Call({messages, outcome});
}

class TransactionHandle : public Napi::ObjectWrap<TransactionHandle> {
 public:
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "Transaction",
                       {InstanceMethod("answer", &TransactionHandle::Answer),
                        InstanceMethod("abandon", &TransactionHandle::Abandon)});
  }

  explicit TransactionHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TransactionHandle>(info) {
    Napi::Env env = info.Env();
    if (info.Length() != 2 || !info[0].IsObject() || !info[1].IsFunction()) {
      Napi::TypeError::New(env, "new Transaction(options, onEvent)").ThrowAsJavaScriptException();
      return;
    }
    Napi::String name = Napi::String::New(env, "ocvpn_pam");
    napi_status status = napi_create_threadsafe_function(env, info[1], nullptr, name, 0, 1, nullptr, nullptr,
                                                         nullptr, TellEvent, &events_);
    if (status != napi_ok) {
      Napi::Error::New(env, "no thread-safe function").ThrowAsJavaScriptException();
      return;
    }
    napi_unref_threadsafe_function(env, events_);
    transaction_ = std::make_shared<Transaction>(OptionsOf(info[0].As<Napi::Object>()), Notifier(events_));
    int error = transaction_->Start();
    if (error == 0) return;
    transaction_.reset();
    napi_release_threadsafe_function(events_, napi_tsfn_release);
    Napi::Error::New(env, std::string("no thread: ") + strerror(error)).ThrowAsJavaScriptException();
  }

  ~TransactionHandle() override { GiveUp(); }

 private:
  static Transaction::Notify Notifier(napi_threadsafe_function events) {
    return [events](std::unique_ptr<PamEvent> event) {
      bool last = event->outcome != nullptr;
      PamEvent* data = event.release();
      // Refused only when the process is ending, and then the function is released by the refusal.
      if (napi_call_threadsafe_function(events, data, napi_tsfn_nonblocking) != napi_ok) {
        delete data;
      } else if (last) {
        napi_release_threadsafe_function(events, napi_tsfn_release);
      }
    };
  }

  static TransactionOptions OptionsOf(const Napi::Object& object) {
    auto text = [&object](const char* name) { return object.Get(name).ToString().Utf8Value(); };
    return {text("service"), text("user"), text("remoteHost"), text("tty"), text("confdir")};
  }

  Napi::Value Answer(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    bool typed = info.Length() == 1 && info[0].IsTypedArray() &&
                 info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
    if (!typed) {
      Napi::TypeError::New(env, "answer(secret: Uint8Array)").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    Napi::Uint8Array secret = info[0].As<Napi::Uint8Array>();
    bool taken = transaction_ && transaction_->Answer(Secret(secret.Data(), secret.ByteLength()));
    return Napi::Boolean::New(env, taken);
  }

  Napi::Value Abandon(const Napi::CallbackInfo& info) {
    GiveUp();
    return info.Env().Undefined();
  }

  void GiveUp() {
    if (transaction_ && transaction_->Abandon()) napi_release_threadsafe_function(events_, napi_tsfn_release);
    transaction_.reset();
  }

  std::shared_ptr<Transaction> transaction_;
  napi_threadsafe_function events_ = nullptr;
};

Napi::Value Threads(const Napi::CallbackInfo& info) {
  Napi::Object counts = Napi::Object::New(info.Env());
  counts.Set("running", Transaction::running());
  counts.Set("abandoned", Transaction::abandoned());
  return counts;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Transaction", TransactionHandle::Class(env));
  exports.Set("threads", Napi::Function::New(env, Threads, "threads"));
  return exports;
}

}  // namespace

NODE_API_MODULE(ocvpn_pam, Init)
