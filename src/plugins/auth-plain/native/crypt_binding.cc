// crypt(3), off the event loop: the SHA methods with OpenSSL (sha_crypt.h), all others by the system.
//
// crypt(password: Uint8Array, setting: string): Promise<string | null>
// hashes with the method, salt and cost of `setting` (a stored hash or its prefix). null: the system's libcrypt
// does not take this setting or this password (crypt_r returns a text that begins with '*').
//
// tryLock(fd: number): boolean
// takes an exclusive fcntl lock on the whole file for this descriptor; false: another descriptor or program holds it.

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <napi.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sha_crypt.h"

namespace {

// A password as a C string in memory that is wiped when it goes away.
class Secret {
 public:
  Secret(const uint8_t* data, size_t size) : bytes_(size + 1, 0) {
    if (size > 0) memcpy(bytes_.data(), data, size);
  }
  ~Secret() { explicit_bzero(bytes_.data(), bytes_.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  const char* c_str() const { return reinterpret_cast<const char*>(bytes_.data()); }
  size_t length() const { return bytes_.size() - 1; }

 private:
  std::vector<uint8_t> bytes_;
};

// struct crypt_data is about 32 KiB and holds traces of the password: heap, wiped.
struct WipeAndDelete {
  void operator()(crypt_data* data) const {
    explicit_bzero(data, sizeof(*data));
    delete data;
  }
};

class CryptWorker : public Napi::AsyncWorker {
 public:
  CryptWorker(Napi::Env env, const Napi::Uint8Array& password, std::string setting)
      : Napi::AsyncWorker(env, "ocvpn_crypt"),
        deferred_(Napi::Promise::Deferred::New(env)),
        password_(password.Data(), password.ByteLength()),
        setting_(std::move(setting)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    if (std::optional<std::string> hash = ocvpn::crypt::sha_crypt(password_.c_str(), password_.length(), setting_)) {
      result_ = std::move(*hash);
      return;
    }
    std::unique_ptr<crypt_data, WipeAndDelete> scratch(new crypt_data());
    const char* hash = crypt_r(password_.c_str(), setting_.c_str(), scratch.get());
    if (hash != nullptr && hash[0] != '*') result_ = hash;
  }

  void OnOK() override {
    if (result_.empty()) {
      deferred_.Resolve(Env().Null());
    } else {
      deferred_.Resolve(Napi::String::New(Env(), result_));
    }
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Secret password_;
  std::string setting_;
  std::string result_;
};

Napi::Value Crypt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  bool typed = info.Length() == 2 && info[0].IsTypedArray() && info[1].IsString() &&
               info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!typed) {
    Napi::TypeError::New(env, "crypt(password: Uint8Array, setting: string)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  // The worker deletes itself when it has finished.
  auto* worker = new CryptWorker(env, info[0].As<Napi::Uint8Array>(), info[1].As<Napi::String>().Utf8Value());
  Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value TryLock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() != 1 || !info[0].IsNumber()) {
    Napi::TypeError::New(env, "tryLock(fd: number)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  // Of the open file, not of the process: two users in one process exclude each other too.
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(info[0].As<Napi::Number>().Int32Value(), F_OFD_SETLK, &whole) == 0) {
    return Napi::Boolean::New(env, true);
  }
  if (errno != EAGAIN && errno != EACCES) {
    Napi::Error::New(env, std::string("fcntl: ") + strerror(errno)).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Boolean::New(env, false);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("crypt", Napi::Function::New(env, Crypt, "crypt"));
  exports.Set("tryLock", Napi::Function::New(env, TryLock, "tryLock"));
  return exports;
}

}  // namespace

NODE_API_MODULE(ocvpn_crypt, Init)
