// Keys that session tickets are sealed with (RFC 8446 4.6.1). Other processes make them and replace them in time.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ocvpn {

class TicketKeys {
 public:
  static constexpr std::size_t kNameSize = 16;
  static constexpr std::size_t kSecretSize = 32;
  static constexpr std::size_t kMaxKeys = 2;
  /// name, key of AES-256-CBC, key of HMAC-SHA-256
  static constexpr std::size_t kKeySize = kNameSize + 2 * kSecretSize;

  /// Makes `context` seal and open tickets with the keys of set(); until there are some, no ticket is opened.
  /// null, and `error` says why, when OpenSSL lacks the algorithms. `context` must not outlive the result.
  static std::unique_ptr<TicketKeys> create(SSL_CTX* context, std::string* error);
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  /// `count` keys of kKeySize bytes, one after the other: the first seals, all open. At most kMaxKeys.
  bool set(const std::uint8_t* keys, std::size_t count);
  /// key_index of the certificate of the handshake that made a resumed session: a ticket carries it.
  static std::uint32_t key_index(SSL* ssl);
  bool empty() const { return count_ == 0; }

 private:
  struct Key {
    std::uint8_t name[kNameSize];
    std::uint8_t cipher[kSecretSize];
    std::uint8_t mac[kSecretSize];
  };
  static_assert(sizeof(Key) == kKeySize, "a key is its bytes");

  TicketKeys() = default;
  int start(const Key& key, bool seal, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const;
  static int on_content(SSL* ssl, void*);
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                       int seal);

  EVP_CIPHER* algorithm_ = nullptr;
  std::array<Key, kMaxKeys> keys_{};
  std::size_t count_ = 0;
};

}  // namespace ocvpn
