#include "dataplane/tls_bio.h"

#include "dataplane/tls_stream.h"

namespace ocvpn {

/// Has access to the buffers.
class TlsStreamBio {
 public:
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const kMethod = make_method();
    return kMethod;
  }

 private:
  static const BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ocvpn stream");
    if (method == nullptr) return nullptr;
    BIO_meth_set_read_ex(method, read);
    BIO_meth_set_write_ex(method, write);
    BIO_meth_set_ctrl(method, control);
    return method;
  }

  static TlsStream* stream(BIO* bio) { return static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, std::size_t capacity, std::size_t* count) {
    BIO_clear_retry_flags(bio);
    *count = stream(bio)->take_input(reinterpret_cast<std::uint8_t*>(out), capacity);
    if (*count > 0) return 1;
    BIO_set_retry_read(bio);
    return 0;
  }

  static int write(BIO* bio, const char* data, std::size_t length, std::size_t* count) {
    BIO_clear_retry_flags(bio);
    *count = length;
    return stream(bio)->append_output(reinterpret_cast<const std::uint8_t*>(data), length) ? 1 : 0;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
};

BIO* new_tls_bio(TlsStream* stream) {
  const BIO_METHOD* method = TlsStreamBio::method();
  BIO* bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, stream);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace ocvpn
