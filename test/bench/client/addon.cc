#include "addon.h"

#include <node_api.h>

#include <string>
#include <vector>

namespace {

/** run(name, arguments…), strings: the exit status. Blocks until the program is over. */
napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 0;
  napi_get_cb_info(env, info, &count, nullptr, nullptr, nullptr);
  std::vector<napi_value> values(count);
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  std::vector<std::string> texts;
  for (napi_value value : values) {
    size_t length = 0;
    if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
      napi_throw_type_error(env, nullptr, "run(...arguments: string[])");
      return nullptr;
    }
    texts.emplace_back(length, '\0');
    napi_get_value_string_utf8(env, value, texts.back().data(), length + 1, nullptr);
  }
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  napi_value status = nullptr;
  napi_create_int32(env, ocvpn::bench::run(static_cast<int>(texts.size()), argv.data()), &status);
  return status;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, nullptr, &function);
  napi_set_named_property(env, exports, "run", function);
  return exports;
}
