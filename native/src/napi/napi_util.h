// Helpers that every binding needs: errors, argument readers, buffers.
//
// Node-API is used without C++ exceptions: a helper that fails leaves a JavaScript exception pending and
// the binding returns at once. Readers collect failure, so that a binding checks `ok()` once.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ocvpn::napi {

/// Error with `code` ('EADDRINUSE'), `errno` (positive) and `syscall`, message 'syscall code: text[ (detail)]'.
Napi::Error make_sys_error(Napi::Env env, std::string_view syscall, int error, std::string_view detail = {});

/// Leaves make_sys_error() pending and returns undefined, for `return throw_sys_error(...)`.
Napi::Value throw_sys_error(Napi::Env env, std::string_view syscall, int error, std::string_view detail = {});

/// Leaves a TypeError (or RangeError) with code ERR_INVALID_ARG_VALUE pending.
void throw_argument_error(Napi::Env env, const std::string& message);

/// Bytes of a JavaScript view (Uint8Array or Buffer); valid until control returns to JavaScript.
struct ByteView {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

/// Bytes of JavaScript that are written.
struct MutableBytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

/// A fresh Buffer with a copy of the bytes.
Napi::Buffer<uint8_t> copy_to_buffer(Napi::Env env, const void* data, size_t size);

/// Reads one value at a time, from an options object or from positional arguments. The first failure
/// leaves an exception pending; later reads return neutral values.
class ValueReader {
 public:
  explicit ValueReader(Napi::Env env) : env_(env) {}

  bool ok() const { return ok_; }
  Napi::Env env() const { return env_; }

  /// Integer in min..max.
  int64_t integer(Napi::Value value, std::string_view name, int64_t min, int64_t max);
  bool boolean(Napi::Value value, std::string_view name);
  /// String without NUL characters.
  std::string text(Napi::Value value, std::string_view name);
  ByteView bytes(Napi::Value value, std::string_view name);
  Napi::Function function(Napi::Value value, std::string_view name);
  Napi::Object object(Napi::Value value, std::string_view name);

 protected:
  void fail(std::string_view name, std::string_view expected);

 private:
  Napi::Env env_;
  bool ok_ = true;
};

/// Positional arguments: `Args args(info); int fd = args.fd(0);`
class Args : public ValueReader {
 public:
  explicit Args(const Napi::CallbackInfo& info) : ValueReader(info.Env()), info_(info) {}

  int fd(size_t index) { return static_cast<int>(integer(index, "fd", 0, INT32_MAX)); }
  int64_t integer(size_t index, std::string_view name, int64_t min, int64_t max) {
    return ValueReader::integer(info_[index], name, min, max);
  }
  bool boolean(size_t index, std::string_view name) { return ValueReader::boolean(info_[index], name); }
  std::string text(size_t index, std::string_view name) { return ValueReader::text(info_[index], name); }
  ByteView bytes(size_t index, std::string_view name) { return ValueReader::bytes(info_[index], name); }
  Napi::Function function(size_t index, std::string_view name) { return ValueReader::function(info_[index], name); }
  Napi::Object object(size_t index, std::string_view name) { return ValueReader::object(info_[index], name); }
  /// A Uint8Array that is not empty, to write into.
  MutableBytes room(size_t index, std::string_view name);
  Napi::Array array(size_t index, std::string_view name);
  /// Array of at most `max` descriptors.
  std::vector<int> fds(size_t index, size_t max);

 private:
  const Napi::CallbackInfo& info_;
};

/// Properties of an options object: `Options options(env, value, "options"); options.flag("tso");`
class Options : public ValueReader {
 public:
  Options(Napi::Env env, Napi::Value value, std::string_view name);

  int64_t integer(const char* key, int64_t min, int64_t max) { return ValueReader::integer(get(key), key, min, max); }
  bool flag(const char* key) { return ValueReader::boolean(get(key), key); }
  std::string text(const char* key) { return ValueReader::text(get(key), key); }
  ByteView bytes(const char* key) { return ValueReader::bytes(get(key), key); }
  Napi::Function function(const char* key) { return ValueReader::function(get(key), key); }

  /// False when the property is absent, undefined or null.
  bool has(const char* key);
  std::optional<int64_t> optional_integer(const char* key, int64_t min, int64_t max);
  std::optional<std::string> optional_text(const char* key);
  std::optional<ByteView> optional_bytes(const char* key);
  /// The nested options object; check has() first.
  Options nested(const char* key) { return Options(env(), get(key), key); }

 private:
  Napi::Value get(const char* key);

  Napi::Object object_;
};

}  // namespace ocvpn::napi
