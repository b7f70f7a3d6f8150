// Binary search for the largest packet that a path lets through, one probe at a time (after RFC 8899).
#pragma once

#include <cstdint>

namespace ocvpn::pkt {

class MtuSearch {
 public:
  /** Begins with the value in use, bytes. `floor` is taken to get through, `ceiling` is the most that is of use. */
  void start(uint32_t in_use, uint32_t floor, uint32_t ceiling);
  /** Size of the next probe; 0: the search is over (or has not begun). */
  uint32_t candidate() const { return candidate_; }
  /** The probe got through, or did not. */
  void answered();
  void lost();
  /** The path takes no more than `size`: learnt otherwise. */
  void limit(uint32_t size);
  /** The largest size that is known to get through, or the value in use while nothing speaks against it. */
  uint32_t usable() const { return in_use_; }

 private:
  void choose();

  uint32_t good_ = 0;       // gets through
  uint32_t bad_ = 0;        // does not
  uint32_t in_use_ = 0;
  uint32_t candidate_ = 0;
};

}  // namespace ocvpn::pkt
