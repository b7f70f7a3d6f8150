// Any system call with any arguments, from the thread that asks or from one that was there before the process was locked
// down: what an attacker has who runs native code in a process.
#include <node_api.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Errand {
  long number;
  long arguments[6];
  long result;
};

/// Waits from its start on and makes the calls that it is given.
class OldThread {
 public:
  OldThread() {
    std::thread([this] { serve(); }).detach();
  }
  void make(Errand& errand) {
    std::unique_lock lock(mutex_);
    next_ = &errand;
    changed_.notify_all();
    changed_.wait(lock, [this] { return next_ == nullptr; });
  }

 private:
  void serve() {
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [this] { return next_ != nullptr; });
      const long* a = next_->arguments;
      const long result = syscall(next_->number, a[0], a[1], a[2], a[3], a[4], a[5]);
      next_->result = result < 0 ? -errno : result;
      next_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Errand* next_ = nullptr;
};

long argument(napi_env env, napi_value value, std::vector<std::string>& texts) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type == napi_number) {
    int64_t number = 0;
    napi_get_value_int64(env, value, &number);
    return number;
  }
  if (type == napi_string) {
    size_t length = 0;
    napi_get_value_string_utf8(env, value, nullptr, 0, &length);
    std::string& text = texts.emplace_back(length, '\0');
    napi_get_value_string_utf8(env, value, text.data(), length + 1, nullptr);
    return reinterpret_cast<long>(text.data());
  }
  void* data = nullptr;
  napi_get_buffer_info(env, value, &data, nullptr);
  return reinterpret_cast<long>(data);
}

/// call(inOldThread, number, …up to 6 numbers, strings or buffers): the result, or −errno.
napi_value call(napi_env env, napi_callback_info info) {
  static OldThread old_thread;
  size_t count = 8;
  napi_value values[8];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  bool elsewhere = false;
  napi_get_value_bool(env, values[0], &elsewhere);
  int64_t number = 0;
  napi_get_value_int64(env, values[1], &number);
  std::vector<std::string> texts;
  texts.reserve(6);
  Errand errand{static_cast<long>(number), {}, 0};
  for (size_t i = 2; i < count; ++i) errand.arguments[i - 2] = argument(env, values[i], texts);
  if (elsewhere) {
    old_thread.make(errand);
  } else {
    const long* a = errand.arguments;
    const long result = syscall(errand.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    errand.result = result < 0 ? -errno : result;
  }
  napi_value result;
  napi_create_int64(env, errand.result, &result);
  return result;
}

napi_value init(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "call", NAPI_AUTO_LENGTH, call, nullptr, &function);
  napi_set_named_property(env, exports, "call", function);
  return exports;
}

}  // namespace

NAPI_MODULE(raw_syscall, init)
