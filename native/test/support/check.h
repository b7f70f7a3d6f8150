// A test program's frame: TEST() registers, CHECK() records a failure and goes on, REQUIRE() ends the test.
// Random tests take their numbers from Random; the seed is printed when a test fails and can be set with
// OCVPN_TEST_SEED.
#pragma once

#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

namespace ocvpn::test {

/** splitmix64: small, and the same on every machine. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /** 0 .. limit - 1 */
  uint64_t below(uint64_t limit) { return next() % limit; }
  /** low .. high, both included */
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  std::vector<uint8_t> bytes(size_t count) {
    std::vector<uint8_t> out(count);
    for (auto& b : out) b = static_cast<uint8_t>(next());
    return out;
  }

 private:
  uint64_t state_;
};

struct TestCase {
  const char* name;
  void (*run)();
};

std::vector<TestCase>& cases();
/** Counts a failure of the running test and prints it. */
void fail(const char* file, int line, const std::string& message);
/** Failures of the running test. */
int failures();
/** Seed of this run; a random test starts from Random(seed()). */
uint64_t seed();

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (sizeof(T) == 1) {
    out << static_cast<int>(value);
  } else {
    out << value;
  }
  return out.str();
}

inline std::string show(const std::vector<uint8_t>& bytes) {
  std::string out = std::to_string(bytes.size()) + " bytes:";
  char hex[4];
  for (size_t i = 0; i < bytes.size() && i < 120; ++i) {
    std::snprintf(hex, sizeof hex, " %02x", bytes[i]);
    out += hex;
  }
  return out;
}

template <typename A, typename B>
bool check_equal(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return true;
  fail(file, line, std::string(text) + "\n      left:  " + show(a) + "\n      right: " + show(b));
  return false;
}

}  // namespace ocvpn::test

#define TEST(name)                                                  \
  static void test_##name();                                        \
  static ::ocvpn::test::Register register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition) \
  ((condition) ? true : (::ocvpn::test::fail(__FILE__, __LINE__, #condition), false))
#define CHECK_EQ(a, b) ::ocvpn::test::check_equal((a), (b), #a " == " #b, __FILE__, __LINE__)
#define REQUIRE(condition)    \
  do {                        \
    if (!CHECK(condition)) return; \
  } while (0)
