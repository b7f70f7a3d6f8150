#include "channel.h"

namespace ocvpn::bench {

int LibraryChannel::read(uint8_t* out, size_t capacity) {
  const int got = SSL_read(ssl_, out, static_cast<int>(capacity));
  if (got > 0) return got;
  return SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool LibraryChannel::write(const uint8_t* data, size_t length) {
  return SSL_write(ssl_, data, static_cast<int>(length)) > 0;
}

}  // namespace ocvpn::bench
