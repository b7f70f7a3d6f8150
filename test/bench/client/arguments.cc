#include "arguments.h"

#include <getopt.h>

#include <iostream>
#include <stdexcept>

namespace ocvpn::bench {

namespace {

unsigned positive(const char* name, const char* text) {
  size_t end = 0;
  unsigned long value = 0;
  try {
    value = std::stoul(text, &end);
  } catch (const std::logic_error&) {
    end = 0;
  }
  if (end == 0 || text[end] != '\0' || value == 0 || value > 100000)
    throw std::invalid_argument(std::string("--") + name + ": give a number from 1 to 100000");
  return static_cast<unsigned>(value);
}

}  // namespace

Arguments read_arguments(int argc, char** argv) {
  static const option kOptions[] = {
      {"server", required_argument, nullptr, 's'}, {"port", required_argument, nullptr, 'p'},
      {"user", required_argument, nullptr, 'u'},   {"device", required_argument, nullptr, 'd'},
      {"no-dtls", no_argument, nullptr, 'n'},      {"clients", required_argument, nullptr, 'c'},
      {"parallel", required_argument, nullptr, 'j'}, {"dpd", required_argument, nullptr, 'k'},
      {"active", required_argument, nullptr, 'a'},   {"every", required_argument, nullptr, 'e'},
      {"target", required_argument, nullptr, 't'},   {"certificate", required_argument, nullptr, 'x'},
      {"key", required_argument, nullptr, 'y'},      {"library-records", no_argument, nullptr, 'l'},
      {nullptr, 0, nullptr, 0},
  };
  Arguments arguments;
  for (int found; (found = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (found) {
      case 's': arguments.server = optarg; break;
      case 'p': arguments.port = optarg; break;
      case 'u': arguments.user = optarg; break;
      case 'd': arguments.device = optarg; break;
      case 'n': arguments.dtls = false; break;
      case 'c': arguments.clients = positive("clients", optarg); break;
      case 'j': arguments.parallel = positive("parallel", optarg); break;
      case 'k': arguments.dpd = positive("dpd", optarg); break;
      case 'a': arguments.active = positive("active", optarg); break;
      case 'e': arguments.every = positive("every", optarg); break;
      case 't': arguments.target = optarg; break;
      case 'x': arguments.certificate = optarg; break;
      case 'y': arguments.key = optarg; break;
      case 'l': arguments.own_records = false; break;
      default: throw std::invalid_argument("unknown option");
    }
  }
  if (arguments.server.empty() || arguments.user.empty() || optind != argc)
    throw std::invalid_argument(
        "usage: bench-client --server HOST [--port N] --user NAME [--certificate FILE --key FILE] [--device NAME] [--no-dtls] [--library-records] "
        "[--clients N [--parallel N] [--dpd SECONDS] [--active N --target ADDRESS [--every MS]]] <password");
  if (arguments.active > 0 && arguments.target.empty())
    throw std::invalid_argument("--active: say with --target whom the sessions send to");
  if (arguments.certificate.empty() != arguments.key.empty())
    throw std::invalid_argument("--certificate and --key belong together");
  // Small packets and few: what the library costs around them is not worth its keys.
  if (arguments.clients > 0) arguments.own_records = false;
  std::getline(std::cin, arguments.password);
  return arguments;
}

}  // namespace ocvpn::bench
