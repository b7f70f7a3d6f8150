// State of one Node environment (main thread or worker thread), so that the addon has no globals.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_map>

namespace ocvpn::napi {

/// Instance data of the addon: one object of any type per part, made when it is first asked for and
/// destroyed with the environment.
class EnvState {
 public:
  /// Called once per environment by the module's initialiser.
  static void install(Napi::Env env) { env.SetInstanceData(new EnvState()); }

  /// The environment's T; default-constructed the first time.
  template <typename T>
  static T& get(Napi::Env env) {
    auto& slot = env.GetInstanceData<EnvState>()->parts_[key<T>()];
    if (slot == nullptr) slot = std::make_unique<Part<T>>();
    return static_cast<Part<T>*>(slot.get())->value;
  }

 private:
  struct AnyPart {
    virtual ~AnyPart() = default;
  };
  template <typename T>
  struct Part final : AnyPart {
    T value{};
  };

  // The address of a template's static is a type id that needs no RTTI.
  template <typename T>
  static const void* key() {
    static const char id = 0;
    return &id;
  }

  std::unordered_map<const void*, std::unique_ptr<AnyPart>> parts_;
};

}  // namespace ocvpn::napi
