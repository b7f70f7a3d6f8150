// `NativeIo` of src/core/native/types.ts: arguments in, io layer, values or errno errors out.
#include <napi.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "io/fd_message.h"
#include "io/login_records.h"
#include "io/netlink.h"
#include "io/netns.h"
#include "io/offload_probe.h"
#include "io/service_manager.h"
#include "io/stream_socket.h"
#include "io/tun.h"
#include "io/udp_socket.h"
#include "napi/env_state.h"
#include "napi/io_result.h"
#include "napi/module.h"
#include "napi/napi_util.h"
#include "napi/poller_binding.h"

namespace ocvpn::napi {
namespace {

using Info = Napi::CallbackInfo;

// The descriptor belongs to JavaScript from here on.
Napi::Value fd_result(Napi::Env env, io::Result<io::UniqueFd>&& result) {
  if (!result.ok()) return throw_error(env, result.error());
  return Napi::Number::New(env, result.value().release());
}

Napi::Object endpoint_object(Napi::Env env, const io::Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", endpoint.address);
  object.Set("port", endpoint.port);
  if (endpoint.scope != 0) object.Set("scope", endpoint.scope);
  return object;
}

io::Endpoint read_endpoint(Options options) {
  io::Endpoint endpoint;
  endpoint.address = options.text("address");
  endpoint.port = static_cast<uint16_t>(options.integer("port", 0, UINT16_MAX));
  endpoint.scope = static_cast<uint32_t>(options.optional_integer("scope", 0, UINT32_MAX).value_or(0));
  return endpoint;
}

Napi::Value close_fd(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return info.Env().Undefined();
  if (::close(fd) != 0 && errno != EINTR) return throw_sys_error(info.Env(), "close", errno);
  return info.Env().Undefined();
}

Napi::Value socketpair_of_fds(const Info& info) {
  Napi::Env env = info.Env();
  auto pair = io::socket_pair();
  if (!pair.ok()) return throw_error(env, pair.error());
  Napi::Array array = Napi::Array::New(env, 2);
  array.Set(0u, pair.value().first.release());
  array.Set(1u, pair.value().second.release());
  return array;
}

Napi::Value listen_unix(const Info& info) {
  Args args(info);
  const std::string path = args.text(0, "path");
  const auto mode = static_cast<mode_t>(args.integer(1, "mode", 0, 0777));
  if (!args.ok()) return info.Env().Undefined();
  return fd_result(info.Env(), io::listen_unix(path, mode));
}

Napi::Value connect_unix(const Info& info) {
  Args args(info);
  const std::string path = args.text(0, "path");
  if (!args.ok()) return info.Env().Undefined();
  return fd_result(info.Env(), io::connect_unix(path));
}

Napi::Value listen_tcp(const Info& info) {
  Args args(info);
  const std::string address = args.text(0, "address");
  const auto port = static_cast<uint16_t>(args.integer(1, "port", 0, UINT16_MAX));
  const auto backlog = static_cast<int>(args.integer(2, "backlog", 1, INT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return fd_result(info.Env(), io::listen_tcp(address, port, backlog));
}

Napi::Value defer_accept(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  const auto seconds = static_cast<int>(args.integer(1, "seconds", 0, 3600));
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::defer_accept(fd, seconds));
}

const char* name_of(io::SocketKind kind) {
  switch (kind) {
    case io::SocketKind::kTcpListener:
      return "tcp";
    case io::SocketKind::kUdp:
      return "udp";
    default:
      return "other";
  }
}

Napi::Value adopt_socket(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  const auto found = io::adopt_socket(fd);
  if (!found.ok()) return throw_error(env, found.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", name_of(found.value().kind));
  object.Set("local", endpoint_object(env, found.value().local));
  return object;
}

Napi::Value send_to_unix(const Info& info) {
  Args args(info);
  const std::string path = args.text(0, "path");
  const std::string text = args.text(1, "text");
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::send_to_unix(path, text));
}

Napi::Value write_login(const Info& info) {
  Options options(info.Env(), info[0], "login");
  const io::LoginFiles files{options.text("utmp"), options.text("wtmp")};
  io::LoginRecord record;
  record.begins = options.flag("begins");
  record.user = options.text("user");
  record.line = options.text("line");
  record.host = options.text("host");
  record.pid = static_cast<int>(options.integer("pid", 0, INT32_MAX));
  record.seconds = options.integer("seconds", 0, INT64_MAX);
  const bool history = options.flag("history");
  if (!options.ok()) return info.Env().Undefined();
  return done(info.Env(), io::write_login(files, record, history));
}

Napi::Value accept_fd(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  auto accepted = io::accept_stream(fd);
  if (!accepted.ok()) return throw_error(env, accepted.error());
  if (!accepted.value()) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("fd", accepted.value()->fd.release());
  object.Set("remote", endpoint_object(env, accepted.value()->remote));
  object.Set("local", endpoint_object(env, accepted.value()->local));
  return object;
}

Napi::Value has_bytes(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  const auto found = io::has_bytes(fd);
  if (!found.ok()) return throw_error(env, found.error());
  return found.value() ? Napi::Value(Napi::Boolean::New(env, *found.value())) : Napi::Value(env.Null());
}

Napi::Value hung_up(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), io::hung_up(fd));
}

Napi::Value socket_addresses(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  const auto ends = io::socket_ends(fd);
  if (!ends.ok()) return throw_error(env, ends.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("remote", endpoint_object(env, ends.value().remote));
  object.Set("local", endpoint_object(env, ends.value().local));
  return object;
}

Napi::Value peer_credentials(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  const auto credentials = io::peer_credentials(fd);
  if (!credentials.ok()) return throw_error(env, credentials.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("pid", credentials.value().pid);
  object.Set("uid", credentials.value().uid);
  object.Set("gid", credentials.value().gid);
  return object;
}

Napi::Value peer_groups(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  const auto groups = io::peer_groups(fd);
  if (!groups.ok()) return throw_error(env, groups.error());
  Napi::Array array = Napi::Array::New(env, groups.value().size());
  for (uint32_t i = 0; i < groups.value().size(); i++) array.Set(i, groups.value()[i]);
  return array;
}

Napi::Value bind_udp(const Info& info) {
  Args args(info);
  const std::string address = args.text(0, "address");
  const auto port = static_cast<uint16_t>(args.integer(1, "port", 0, UINT16_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return fd_result(info.Env(), io::bind_udp(address, port));
}

// Where datagrams land before their exact size is known; one per environment, not on the stack of every call.
struct DatagramScratch {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(io::kMaxDatagram);
};

Napi::Value receive_datagram(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return env.Undefined();
  auto& scratch = EnvState::get<DatagramScratch>(env).bytes;
  const auto datagram = io::receive_datagram(fd, scratch.data(), scratch.size());
  if (!datagram.ok()) return throw_error(env, datagram.error());
  if (!datagram.value()) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("data", copy_to_buffer(env, scratch.data(), datagram.value()->size));
  object.Set("remote", endpoint_object(env, datagram.value()->remote));
  object.Set("local", endpoint_object(env, datagram.value()->local));
  return object;
}

Napi::Value connect_udp(const Info& info) {
  Napi::Env env = info.Env();
  const io::Endpoint local = read_endpoint(Options(env, info[0], "local"));
  if (env.IsExceptionPending()) return env.Undefined();
  const io::Endpoint remote = read_endpoint(Options(env, info[1], "remote"));
  if (env.IsExceptionPending()) return env.Undefined();
  return fd_result(env, io::connect_udp(local, remote));
}

Napi::Value send_message(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  const ByteView data = args.bytes(1, "data");
  const std::vector<int> fds = args.fds(2, io::kMaxFds);
  if (!args.ok()) return env.Undefined();
  const auto sent = io::send_with_fds(fd, data.data, data.size, fds.data(), fds.size());
  if (!sent.ok()) return throw_error(env, sent.error());
  return Napi::Number::New(env, static_cast<double>(sent.value()));
}

/// What receiveMessage returns instead of a size, and adds to the descriptors (NativeIo, LOST_FDS).
constexpr int kNothingThere = -1;
constexpr int kLostFds = -1;

Napi::Value receive_message(const Info& info) {
  Napi::Env env = info.Env();
  Args args(info);
  const int fd = args.fd(0);
  const MutableBytes room = args.room(1, "room");
  Napi::Array fds = args.array(2, "fds");
  if (!args.ok()) return env.Undefined();
  auto message = io::receive_with_fds(fd, room.data, room.size);
  if (!message.ok()) return throw_error(env, message.error());
  if (!message.value()) return Napi::Number::New(env, kNothingThere);
  auto& [size, received, lost_fds] = *message.value();
  for (auto& descriptor : received) fds.Set(fds.Length(), descriptor.release());
  if (lost_fds) fds.Set(fds.Length(), kLostFds);
  return Napi::Number::New(env, static_cast<double>(size));
}

Napi::Value open_tun(const Info& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "options");
  io::TunRequest request;
  request.name = options.text("name");
  if (auto owner = options.optional_integer("owner", 0, UINT32_MAX)) request.owner = static_cast<uid_t>(*owner);
  request.vnet_hdr = options.flag("vnetHdr");
  request.tso = options.flag("tso");
  request.uso = options.flag("uso");
  if (auto length = options.optional_integer("txQueueLength", 1, INT32_MAX)) {
    request.tx_queue_length = static_cast<uint32_t>(*length);
  }
  if (!options.ok()) return env.Undefined();
  auto tun = io::open_tun(request);
  if (!tun.ok()) return throw_error(env, tun.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("fd", tun.value().fd.release());
  object.Set("name", tun.value().name);
  object.Set("ifindex", tun.value().ifindex);
  object.Set("vnetHdr", tun.value().vnet_hdr);
  object.Set("tso", tun.value().tso);
  object.Set("uso", tun.value().uso);
  return object;
}

// Limits of the Linux device layer for a tun: ETH_MIN_MTU and 65535.
constexpr int kMinMtu = 68;
constexpr int kMaxMtu = 65535;

Napi::Value configure_interface(const Info& info) {
  Napi::Env env = info.Env();
  Options options(env, info[0], "config");
  io::InterfaceSettings settings;
  settings.ifindex = static_cast<int>(options.integer("ifindex", 1, INT32_MAX));
  settings.mtu = static_cast<int>(options.integer("mtu", kMinMtu, kMaxMtu));
  settings.up = options.flag("up");
  if (options.has("ipv4")) {
    Options ipv4 = options.nested("ipv4");
    settings.ipv4 = {ipv4.text("local"), ipv4.text("peer")};
  }
  if (!env.IsExceptionPending() && options.has("ipv6")) {
    Options ipv6 = options.nested("ipv6");
    settings.ipv6 = {ipv6.text("local"), ipv6.text("peer"), static_cast<int>(ipv6.integer("prefix", 0, 128))};
  }
  if (env.IsExceptionPending()) return env.Undefined();
  return done(env, io::configure_interface(settings));
}

Napi::Value set_interface_mtu(const Info& info) {
  Args args(info);
  const auto ifindex = static_cast<int>(args.integer(0, "ifindex", 1, INT32_MAX));
  const auto mtu = static_cast<int>(args.integer(1, "mtu", kMinMtu, kMaxMtu));
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::set_interface_mtu(ifindex, mtu));
}

Napi::Value tcp_path_mtu(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return info.Env().Undefined();
  const auto mtu = io::tcp_path_mtu(fd);
  return mtu.ok() ? Napi::Value(Napi::Number::New(info.Env(), mtu.value())) : throw_error(info.Env(), mtu.error());
}

Napi::Value set_net_priority(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  const auto priority = static_cast<int>(args.integer(1, "priority", 0, 0xff));
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::set_net_priority(fd, priority));
}

Napi::Value set_network_namespace(const Info& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return info.Env().Undefined();
  return done(info.Env(), io::set_network_namespace(fd));
}

struct ProbedOffloads {
  std::optional<io::OffloadSupport> support;
};

Napi::Value probe_offloads(const Info& info) {
  Napi::Env env = info.Env();
  auto& probed = EnvState::get<ProbedOffloads>(env).support;
  if (!probed) probed = io::probe_offloads();
  Napi::Object object = Napi::Object::New(env);
  object.Set("tunVnetHdr", probed->tun_vnet_hdr);
  object.Set("tunTso", probed->tun_tso);
  object.Set("tunUso", probed->tun_uso);
  object.Set("udpSegment", probed->udp_segment);
  object.Set("udpGro", probed->udp_gro);
  return object;
}

using Binding = Napi::Value (*)(const Info&);
constexpr std::pair<const char*, Binding> kBindings[] = {
    {"createPoller", create_poller},
    {"close", close_fd},
    {"socketpair", socketpair_of_fds},
    {"listenUnix", listen_unix},
    {"connectUnix", connect_unix},
    {"listenTcp", listen_tcp},
    {"deferAccept", defer_accept},
    {"adoptSocket", adopt_socket},
    {"sendToUnix", send_to_unix},
    {"writeLogin", write_login},
    {"accept", accept_fd},
    {"hasBytes", has_bytes},
    {"hungUp", hung_up},
    {"socketAddresses", socket_addresses},
    {"peerCredentials", peer_credentials},
    {"peerGroups", peer_groups},
    {"bindUdp", bind_udp},
    {"receiveDatagram", receive_datagram},
    {"connectUdp", connect_udp},
    {"sendMessage", send_message},
    {"receiveMessage", receive_message},
    {"openTun", open_tun},
    {"configureInterface", configure_interface},
    {"setInterfaceMtu", set_interface_mtu},
    {"tcpPathMtu", tcp_path_mtu},
    {"setNetPriority", set_net_priority},
    {"setNetworkNamespace", set_network_namespace},
    {"probeOffloads", probe_offloads},
};

}  // namespace

void init_io(Napi::Env env, Napi::Object exports) {
  Napi::Object io_object = Napi::Object::New(env);
  for (const auto& [name, binding] : kBindings) io_object.Set(name, Napi::Function::New(env, binding, name));
  init_sandbox(env, io_object);
  exports.Set("io", io_object);
}

}  // namespace ocvpn::napi
