// The part of `NativeIo` (src/core/native/types.ts) by which a role gives rights up.
#include <fcntl.h>
#include <malloc.h>
#include <napi.h>

#include <string>
#include <utility>

#include "io/call_rules.h"
#include "io/landlock.h"
#include "io/privileges.h"
#include "napi/io_result.h"
#include "napi/module.h"
#include "napi/napi_util.h"

namespace ocvpn::napi {
namespace {

using Info = Napi::CallbackInfo;

Napi::Value drop_privileges(const Info& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "drop");
  io::PrivilegeRequest request;
  if (auto uid = options.optional_integer("uid", 0, UINT32_MAX - 1)) request.uid = static_cast<uid_t>(*uid);
  if (auto gid = options.optional_integer("gid", 0, UINT32_MAX - 1)) request.gid = static_cast<gid_t>(*gid);
  request.lockdown = options.flag("lockdown");
  request.non_dumpable = options.has("nonDumpable") && options.flag("nonDumpable");
  request.keeps_capabilities = options.has("keepsCapabilities") && options.flag("keepsCapabilities");
  request.parent_death_signal = static_cast<int>(options.optional_integer("parentDeathSignal", 0, 64).value_or(0));
  if (!options.ok()) return env.Undefined();
  return done(env, io::drop_privileges(request));
}

Napi::Value limit_resources(const Info& info) {
  Args args(info);
  const auto descriptors = static_cast<uint64_t>(args.integer(0, "descriptors", 16, 1 << 20));
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::limit_resources(descriptors));
}

Napi::Value limit_memory(const Info& info) {
  constexpr int64_t kMost = int64_t{1} << 40;
  Args args(info);
  const auto more = static_cast<uint64_t>(args.integer(0, "more", 1 << 20, kMost));
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::limit_memory(more));
}

Napi::Value keep_capabilities(const Info& info) {
  constexpr uint32_t kMost = 64;
  Napi::Env env = info.Env();
  uint64_t kept = 0;
  Args args(info);
  const Napi::Object list = args.object(0, "capabilities");
  if (!args.ok()) return env.Undefined();
  ValueReader reader(env);
  const uint32_t count = list.IsArray() ? list.As<Napi::Array>().Length() : 0;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    kept |= 1ULL << reader.integer(list.Get(i), "capability", 0, kMost - 1);
  }
  if (!reader.ok()) return env.Undefined();
  return done(env, io::keep_capabilities(kept));
}

Napi::Value trim_memory(const Info& info) {
  malloc_trim(0);
  return info.Env().Undefined();
}

Napi::Value deny_files_and_network(const Info& info) { return done(info.Env(), io::deny_files_and_network()); }

Napi::Value landlock_version(const Info& info) { return Napi::Number::New(info.Env(), io::landlock_version()); }

Napi::Value filter_worker_calls(const Info& info) { return done(info.Env(), io::worker_filter().install()); }

Napi::Value filter_secmod_calls(const Info& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "needs");
  const io::SecmodNeeds needs{options.flag("exec"), options.flag("network")};
  if (!options.ok()) return env.Undefined();
  const io::SeccompFilter filter = io::secmod_filter(needs);
  // Programs that a back end starts may have to become somebody else.
  return done(env, needs.exec ? filter.install_with_privileges() : filter.install());
}

Napi::Value forbid_rings(const Info& info) {
  Args args(info);
  const bool keeps_privileges = args.boolean(0, "keepsPrivileges");
  if (!args.ok()) return info.Env().Undefined();
  const io::SeccompFilter filter = io::no_rings_filter();
  return done(info.Env(), keeps_privileges ? filter.install_with_privileges() : filter.install());
}

Napi::Value keep_on_exec(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return info.Env().Undefined();
  if (fcntl(fd, F_SETFD, 0) != 0) return throw_sys_error(info.Env(), "fcntl F_SETFD", errno);
  return info.Env().Undefined();
}

Napi::Object group_object(Napi::Env env, const char* rule, const io::CallGroup& group) {
  Napi::Array calls = Napi::Array::New(env);
  for (const io::CallRule& call : group.calls) {
    const std::string only = call.only;
    calls.Set(calls.Length(), only.empty() ? call.name : std::string(call.name) + " (" + only + ")");
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("rule", rule);
  object.Set("what", group.what);
  object.Set("why", group.why);
  object.Set("calls", calls);
  return object;
}

Napi::Value call_rules(const Info& info) {
  Napi::Env env = info.Env();
  Napi::Array rules = Napi::Array::New(env);
  for (const auto& group : io::worker_calls()) rules.Set(rules.Length(), group_object(env, "worker may", group));
  for (const auto& group : io::refused_calls()) rules.Set(rules.Length(), group_object(env, "secmod never", group));
  for (const auto* group : {&io::exec_calls(), &io::network_calls()}) {
    rules.Set(rules.Length(), group_object(env, "secmod if needed", *group));
  }
  return rules;
}

constexpr std::pair<const char*, Napi::Value (*)(const Info&)> kBindings[] = {
    {"dropPrivileges", drop_privileges},
    {"limitResources", limit_resources},
    {"limitMemory", limit_memory},
    {"trimMemory", trim_memory},
    {"keepCapabilities", keep_capabilities},
    {"denyFilesAndNetwork", deny_files_and_network},
    {"landlockVersion", landlock_version},
    {"filterWorkerCalls", filter_worker_calls},
    {"filterSecmodCalls", filter_secmod_calls},
    {"forbidRings", forbid_rings},
    {"keepOnExec", keep_on_exec},
    {"callRules", call_rules},
};

}  // namespace

void init_sandbox(Napi::Env env, Napi::Object io_object) {
  for (const auto& [name, binding] : kBindings) io_object.Set(name, Napi::Function::New(env, binding, name));
}

}  // namespace ocvpn::napi
