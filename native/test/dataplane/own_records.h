// Which way of sealing and opening data the tests take.
#pragma once

#include <cstdlib>
#include <string>

namespace ocvpn::test {

/** Past the library; OCVPN_TEST_RECORDS=library: by the library. */
inline bool with_own_records() {
  const char* records = std::getenv("OCVPN_TEST_RECORDS");
  return records == nullptr || std::string(records) != "library";
}

}  // namespace ocvpn::test
