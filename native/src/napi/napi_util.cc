#include "napi/napi_util.h"

#include <uv.h>

#include <cmath>

namespace ocvpn::napi {

Napi::Error make_sys_error(Napi::Env env, std::string_view syscall, int error, std::string_view detail) {
  // libuv's names are the ones that Node's own errors carry.
  const std::string code = uv_err_name(-error);
  std::string message = std::string(syscall) + " " + code + ": " + uv_strerror(-error);
  if (!detail.empty()) message += " (" + std::string(detail) + ")";
  Napi::Error result = Napi::Error::New(env, message);
  Napi::Object object = result.Value();
  object.Set("code", code);
  object.Set("errno", error);
  object.Set("syscall", std::string(syscall));
  return result;
}

Napi::Value throw_sys_error(Napi::Env env, std::string_view syscall, int error, std::string_view detail) {
  make_sys_error(env, syscall, error, detail).ThrowAsJavaScriptException();
  return env.Undefined();
}

void throw_argument_error(Napi::Env env, const std::string& message) {
  Napi::TypeError error = Napi::TypeError::New(env, message);
  error.Value().Set("code", "ERR_INVALID_ARG_VALUE");
  error.ThrowAsJavaScriptException();
}

Napi::Buffer<uint8_t> copy_to_buffer(Napi::Env env, const void* data, size_t size) {
  return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t*>(data), size);
}

void ValueReader::fail(std::string_view name, std::string_view expected) {
  if (!ok_) return;
  ok_ = false;
  // A getter of the options object may have thrown already; that exception is the better one.
  if (env_.IsExceptionPending()) return;
  throw_argument_error(env_, "'" + std::string(name) + "' must be " + std::string(expected));
}

int64_t ValueReader::integer(Napi::Value value, std::string_view name, int64_t min, int64_t max) {
  if (!ok_) return min;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) || std::trunc(number) != number) {
    fail(name, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }
  return static_cast<int64_t>(number);
}

bool ValueReader::boolean(Napi::Value value, std::string_view name) {
  if (!ok_) return false;
  if (!value.IsBoolean()) {
    fail(name, "a boolean");
    return false;
  }
  return value.As<Napi::Boolean>().Value();
}

std::string ValueReader::text(Napi::Value value, std::string_view name) {
  if (!ok_) return {};
  std::string result = value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string(1, '\0');
  // A NUL would cut the string silently at the system call.
  if (result.find('\0') != std::string::npos) {
    fail(name, "a string without NUL");
    return {};
  }
  return result;
}

ByteView ValueReader::bytes(Napi::Value value, std::string_view name) {
  if (!ok_) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    fail(name, "a Uint8Array");
    return {};
  }
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Napi::Function ValueReader::function(Napi::Value value, std::string_view name) {
  if (ok_ && !value.IsFunction()) fail(name, "a function");
  return ok_ ? value.As<Napi::Function>() : Napi::Function();
}

Napi::Object ValueReader::object(Napi::Value value, std::string_view name) {
  if (ok_ && !value.IsObject()) fail(name, "an object");
  return ok_ ? value.As<Napi::Object>() : Napi::Object();
}

MutableBytes Args::room(size_t index, std::string_view name) {
  const ByteView view = bytes(index, name);
  if (ok() && view.size == 0) fail(name, "not empty");
  return ok() ? MutableBytes{const_cast<uint8_t*>(view.data), view.size} : MutableBytes{};
}

Napi::Array Args::array(size_t index, std::string_view name) {
  Napi::Value value = info_[index];
  if (ok() && !value.IsArray()) fail(name, "an array");
  return ok() ? value.As<Napi::Array>() : Napi::Array();
}

std::vector<int> Args::fds(size_t index, size_t max) {
  Napi::Value value = info_[index];
  std::vector<int> result;
  if (!ok()) return result;
  if (!value.IsArray() || value.As<Napi::Array>().Length() > max) {
    fail("fds", "an array of at most " + std::to_string(max) + " descriptors");
    return result;
  }
  Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length() && ok(); i++) {
    result.push_back(static_cast<int>(ValueReader::integer(array.Get(i), "fds[]", 0, INT32_MAX)));
  }
  return result;
}

Options::Options(Napi::Env env, Napi::Value value, std::string_view name) : ValueReader(env) {
  object_ = object(value, name);
}

Napi::Value Options::get(const char* key) { return ok() ? Napi::Value(object_.Get(key)) : env().Undefined(); }

bool Options::has(const char* key) {
  Napi::Value value = get(key);
  return ok() && !value.IsUndefined() && !value.IsNull();
}

std::optional<int64_t> Options::optional_integer(const char* key, int64_t min, int64_t max) {
  if (!has(key)) return std::nullopt;
  return integer(key, min, max);
}

std::optional<std::string> Options::optional_text(const char* key) {
  if (!has(key)) return std::nullopt;
  return text(key);
}

std::optional<ByteView> Options::optional_bytes(const char* key) {
  if (!has(key)) return std::nullopt;
  return bytes(key);
}

}  // namespace ocvpn::napi
