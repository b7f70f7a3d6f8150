// main() of every test program. Arguments: parts of test names; without any, all tests run.
#include <cstdlib>
#include <cstring>
#include <random>

#include "support/check.h"

namespace ocvpn::test {

namespace {
int current_failures = 0;

uint64_t choose_seed() {
  const char* given = std::getenv("OCVPN_TEST_SEED");
  if (given != nullptr) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

bool selected(const char* name, int argc, char** argv) {
  if (argc < 2) return true;
  for (int i = 1; i < argc; ++i) {
    if (std::strstr(name, argv[i]) != nullptr) return true;
  }
  return false;
}
}  // namespace

std::vector<TestCase>& cases() {
  static std::vector<TestCase> all;
  return all;
}

uint64_t seed() {
  static const uint64_t chosen = choose_seed();
  return chosen;
}

int failures() {
  return current_failures;
}

void fail(const char* file, int line, const std::string& message) {
  // A property that is broken fails for thousands of inputs; the first few say it all.
  constexpr int kShown = 5;
  if (++current_failures <= kShown) std::printf("    %s:%d: %s\n", file, line, message.c_str());
}

}  // namespace ocvpn::test

int main(int argc, char** argv) {
  using namespace ocvpn::test;
  int run = 0;
  int failed = 0;
  for (const TestCase& test : cases()) {
    if (!selected(test.name, argc, argv)) continue;
    current_failures = 0;
    ++run;
    test.run();
    if (current_failures == 0) continue;
    ++failed;
    std::printf("  FAILED %s (%d failures); repeat with OCVPN_TEST_SEED=%llu\n", test.name, current_failures,
                static_cast<unsigned long long>(seed()));
  }
  std::printf("  %d tests, %d failed\n", run, failed);
  return failed == 0 && run > 0 ? 0 : 1;
}
