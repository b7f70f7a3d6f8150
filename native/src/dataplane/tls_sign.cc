#include "dataplane/tls_sign.h"

#include <openssl/async.h>

#include <cstring>

namespace ocvpn {
namespace {

thread_local SignSlot* current_slot = nullptr;

}  // namespace

SignSlot::Scope::Scope(SignSlot& slot) : previous_(current_slot) {
  current_slot = &slot;
  slot.entries_++;
}

SignSlot::Scope::~Scope() { current_slot = previous_; }

bool SignSlot::sign(std::uint32_t key_index, std::uint16_t scheme, const std::uint8_t* data, std::size_t length,
                    std::uint8_t* signature, std::size_t capacity, std::size_t* signature_length) {
  SignSlot* slot = current_slot;
  if (slot == nullptr || slot->in_job() || length > kMaxData || ASYNC_get_current_job() == nullptr) return false;

  slot->request_.id++;
  slot->request_.key_index = key_index;
  slot->request_.scheme = scheme;
  slot->request_.data.assign(data, data + length);
  slot->state_ = State::kWaiting;
  while (slot->state_ == State::kWaiting) {
    const std::uint32_t entries = slot->entries_;
    // Comes back at once when pausing is blocked; then nobody can answer.
    if (ASYNC_pause_job() == 0 || slot->entries_ == entries) slot->state_ = State::kRefused;
  }

  const bool usable = slot->state_ == State::kAnswered && slot->signature_.size() <= capacity;
  slot->state_ = State::kIdle;
  if (!usable) return false;
  std::memcpy(signature, slot->signature_.data(), slot->signature_.size());
  *signature_length = slot->signature_.size();
  slot->last_scheme_ = scheme;
  return true;
}

bool SignSlot::complete(std::uint32_t id, const std::uint8_t* signature, std::size_t length) {
  if (!waiting() || id != request_.id) return false;
  if (signature == nullptr || length == 0) {
    state_ = State::kRefused;
    return true;
  }
  signature_.assign(signature, signature + length);
  state_ = State::kAnswered;
  return true;
}

void SignSlot::refuse() {
  if (waiting()) state_ = State::kRefused;
}

}  // namespace ocvpn
