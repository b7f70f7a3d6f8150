// An answer of a user: never copied by accident, wiped when it goes away.
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

class Secret {
 public:
  // Copies. An empty Secret results when memory is short.
  Secret(const uint8_t* data, size_t size) : text_(static_cast<char*>(calloc(size + 1, 1))), size_(size) {
    if (text_ != nullptr && size > 0) memcpy(text_, data, size);
  }
  Secret(Secret&& other) noexcept
      : text_(std::exchange(other.text_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret& operator=(Secret&&) = delete;
  ~Secret() {
    if (text_ == nullptr) return;
    explicit_bzero(text_, size_);
    free(text_);
  }

  // Gives the text up to the caller, who frees it: what libpam expects of a response.
  char* release() { return std::exchange(text_, nullptr); }

 private:
  char* text_;
  size_t size_;
};
