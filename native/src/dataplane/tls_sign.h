// The meeting point of one connection and the remote private key: the provider's signature operation, which
// runs inside the connection's ASYNC job, leaves its request here and sleeps until the answer is here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ocvpn {

struct SignRequest {
  std::uint32_t id = 0;
  /// Index of the certificate chain in the context.
  std::uint32_t key_index = 0;
  /// TLS SignatureScheme (RFC 8446 4.2.3), for TLS 1.2 too.
  std::uint16_t scheme = 0;
  /// The whole message to be signed: not a hash.
  std::vector<std::uint8_t> data;
};

class SignSlot {
 public:
  /// Largest message that is forwarded; ServerKeyExchange and CertificateVerify are far below.
  static constexpr std::size_t kMaxData = 1024;

  /// Makes `slot` the one that signature operations of this thread use, for the life of the object: around
  /// every SSL call that can sign.
  class Scope {
   public:
    explicit Scope(SignSlot& slot);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    SignSlot* previous_;
  };

  /// Called by the provider inside an ASYNC job: posts the request, sleeps, gives the signature.
  /// False: no slot or no job here, message too long, refused, or longer than `capacity`.
  static bool sign(std::uint32_t key_index, std::uint16_t scheme, const std::uint8_t* data, std::size_t length,
                   std::uint8_t* signature, std::size_t capacity, std::size_t* signature_length);

  bool waiting() const { return state_ == State::kWaiting; }
  /// The job sleeps or has its answer but did not run since: the SSL object accepts no other operation.
  bool in_job() const { return state_ != State::kIdle; }
  const SignRequest& request() const { return request_; }
  std::uint16_t last_scheme() const { return last_scheme_; }
  std::uint32_t last_key_index() const { return request_.key_index; }
  /// See TlsStream::complete_sign.
  bool complete(std::uint32_t id, const std::uint8_t* signature, std::size_t length);
  /// Refuses whatever waits.
  void refuse();

 private:
  enum class State { kIdle, kWaiting, kAnswered, kRefused };

  State state_ = State::kIdle;
  /// Scopes opened so far: tells a job that it really slept.
  std::uint32_t entries_ = 0;
  SignRequest request_;
  std::vector<std::uint8_t> signature_;
  std::uint16_t last_scheme_ = 0;
};

}  // namespace ocvpn
