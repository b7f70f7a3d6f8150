#include "sha_crypt.h"

// The EVP interface costs more per call than the compression of a block, and a hash is 5,000 small messages.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#include <cstdint>
#include <vector>

namespace ocvpn::crypt {

namespace {

constexpr unsigned kDefaultRounds = 5000;
constexpr unsigned kLeastRounds = 1000;
constexpr size_t kMaxRoundsDigits = 9;
constexpr size_t kMaxSalt = 16;
constexpr size_t kMaxPassword = 511;
constexpr char kAlphabet[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr char kRounds[] = "rounds=";

struct Sha256 {
  static constexpr size_t kSize = SHA256_DIGEST_LENGTH;
  SHA256_CTX state;
  void begin() { SHA256_Init(&state); }
  void add(const void* data, size_t length) { SHA256_Update(&state, data, length); }
  void end(uint8_t* out) { SHA256_Final(out, &state); }
  // The order in which the digest's bytes are written: the next three after a, b, c.
  static void advance(size_t* a, size_t* b, size_t* c) {
    const size_t first = *a;
    *a = *c + 1;
    *c = *b + 1;
    *b = first + 1;
  }
};

struct Sha512 {
  static constexpr size_t kSize = SHA512_DIGEST_LENGTH;
  SHA512_CTX state;
  void begin() { SHA512_Init(&state); }
  void add(const void* data, size_t length) { SHA512_Update(&state, data, length); }
  void end(uint8_t* out) { SHA512_Final(out, &state); }
  static void advance(size_t* a, size_t* b, size_t* c) {
    const size_t first = *a;
    *a = *b + 1;
    *b = *c + 1;
    *c = first + 1;
  }
};

// Bytes that are wiped when they go away.
class Bytes {
 public:
  explicit Bytes(size_t size) : bytes_(size) {}
  ~Bytes() {
    if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  uint8_t* data() { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }

 private:
  std::vector<uint8_t> bytes_;
};

struct Setting {
  std::string salt;
  unsigned rounds = kDefaultRounds;
  bool names_rounds = false;
};

// Behind `$5$` or `$6$`.
std::optional<Setting> parse(const std::string& text) {
  Setting setting;
  size_t at = 0;
  if (text.compare(0, sizeof kRounds - 1, kRounds) == 0) {
    const size_t from = sizeof kRounds - 1;
    at = text.find('$', from);
    if (at == std::string::npos || at == from || at - from > kMaxRoundsDigits || text[from] == '0') return std::nullopt;
    setting.rounds = 0;
    for (size_t i = from; i < at; ++i) {
      if (text[i] < '0' || text[i] > '9') return std::nullopt;
      setting.rounds = setting.rounds * 10 + static_cast<unsigned>(text[i] - '0');
    }
    if (setting.rounds < kLeastRounds) return std::nullopt;
    setting.names_rounds = true;
    ++at;
  }
  setting.salt = text.substr(at, text.find('$', at) - at);
  if (setting.salt.empty() || setting.salt.size() > kMaxSalt) return std::nullopt;
  if (setting.salt.find_first_not_of(kAlphabet) != std::string::npos) return std::nullopt;
  return setting;
}

// `out` filled with the digest, again and again.
void repeat(const uint8_t* digest, size_t digest_size, Bytes* out) {
  for (size_t i = 0; i < out->size(); ++i) out->data()[i] = digest[i % digest_size];
}

template <typename Hash>
class ShaCrypt {
 public:
  ShaCrypt(const char* password, size_t length, const Setting& setting)
      : password_(password), length_(length), setting_(setting), p_(length), s_(setting.salt.size()) {}
  ~ShaCrypt() {
    explicit_bzero(digest_, sizeof digest_);
    explicit_bzero(&hash_, sizeof hash_);
  }

  std::string compute() {
    start();
    for (unsigned round = 0; round < setting_.rounds; ++round) run(round);
    return text();
  }

 private:
  void add_password() { hash_.add(password_, length_); }
  void add_salt() { hash_.add(setting_.salt.data(), setting_.salt.size()); }

  // Steps 1 to 20: the digest that the rounds begin with, and the sequences P and S.
  void start() {
    hash_.begin();
    add_password();
    add_salt();
    add_password();
    hash_.end(digest_);
    Bytes b(length_);
    repeat(digest_, Hash::kSize, &b);
    uint8_t whole[Hash::kSize];
    memcpy(whole, digest_, sizeof whole);
    hash_.begin();
    add_password();
    add_salt();
    hash_.add(b.data(), b.size());
    for (size_t bits = length_; bits > 0; bits >>= 1) {
      if ((bits & 1) != 0) {
        hash_.add(whole, sizeof whole);
      } else {
        add_password();
      }
    }
    explicit_bzero(whole, sizeof whole);
    hash_.end(digest_);

    uint8_t sequence[Hash::kSize];
    hash_.begin();
    for (size_t i = 0; i < length_; ++i) add_password();
    hash_.end(sequence);
    repeat(sequence, sizeof sequence, &p_);
    hash_.begin();
    for (unsigned i = 0; i < 16u + digest_[0]; ++i) add_salt();
    hash_.end(sequence);
    repeat(sequence, sizeof sequence, &s_);
    explicit_bzero(sequence, sizeof sequence);
  }

  // Step 21.
  void run(unsigned round) {
    const bool odd = (round & 1) != 0;
    hash_.begin();
    odd ? hash_.add(p_.data(), p_.size()) : hash_.add(digest_, sizeof digest_);
    if (round % 3 != 0) hash_.add(s_.data(), s_.size());
    if (round % 7 != 0) hash_.add(p_.data(), p_.size());
    odd ? hash_.add(digest_, sizeof digest_) : hash_.add(p_.data(), p_.size());
    hash_.end(digest_);
  }

  static void write(std::string* out, uint32_t bits, int characters) {
    for (int i = 0; i < characters; ++i, bits >>= 6) out->push_back(kAlphabet[bits & 63]);
  }

  // Step 22.
  std::string text() const {
    std::string out = Hash::kSize == Sha256::kSize ? "$5$" : "$6$";
    if (setting_.names_rounds) out += kRounds + std::to_string(setting_.rounds) + "$";
    out += setting_.salt + "$";
    size_t a = 0, b = Hash::kSize / 3, c = Hash::kSize / 3 * 2;
    for (size_t i = 0; i < Hash::kSize / 3; ++i) {
      write(&out, uint32_t{digest_[a]} << 16 | uint32_t{digest_[b]} << 8 | digest_[c], 4);
      Hash::advance(&a, &b, &c);
    }
    if (Hash::kSize == Sha256::kSize) {
      write(&out, uint32_t{digest_[31]} << 8 | digest_[30], 3);
    } else {
      write(&out, digest_[63], 2);
    }
    return out;
  }

  const char* password_;
  size_t length_;
  const Setting& setting_;
  Bytes p_;
  Bytes s_;
  Hash hash_;
  uint8_t digest_[Hash::kSize];
};

}  // namespace

std::optional<std::string> sha_crypt(const char* password, size_t length, const std::string& setting) {
  const bool short_one = setting.compare(0, 3, "$5$") == 0;
  if (!short_one && setting.compare(0, 3, "$6$") != 0) return std::nullopt;
  if (length > kMaxPassword) return std::nullopt;
  const std::optional<Setting> parsed = parse(setting.substr(3));
  if (!parsed) return std::nullopt;
  if (short_one) return ShaCrypt<Sha256>(password, length, *parsed).compute();
  return ShaCrypt<Sha512>(password, length, *parsed).compute();
}

}  // namespace ocvpn::crypt
