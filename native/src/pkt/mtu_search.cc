#include "pkt/mtu_search.h"

#include <algorithm>

namespace ocvpn::pkt {

namespace {

// Closer than this is not worth another probe, bytes.
constexpr uint32_t kResolution = 8;

}  // namespace

void MtuSearch::start(uint32_t in_use, uint32_t floor, uint32_t ceiling) {
  good_ = std::min(floor, in_use);
  bad_ = std::max(ceiling, in_use) + 1;
  in_use_ = in_use;
  candidate_ = in_use > good_ ? in_use : bad_ - 1;
  if (candidate_ <= good_) candidate_ = 0;
}

void MtuSearch::answered() {
  if (candidate_ == 0) return;
  // The first step up is the whole way: mostly the path takes it.
  bool first = candidate_ == in_use_ && bad_ - 1 > candidate_;
  good_ = in_use_ = candidate_;
  choose();
  if (first && candidate_ != 0) candidate_ = bad_ - 1;
}

void MtuSearch::lost() {
  if (candidate_ == 0) return;
  bad_ = candidate_;
  in_use_ = std::min(in_use_, std::max(good_, bad_ * 2 / 3));
  if (in_use_ >= bad_) in_use_ = good_;
  choose();
}

void MtuSearch::limit(uint32_t size) {
  bad_ = std::min(bad_, size + 1);
  good_ = std::min(good_, size);
  in_use_ = std::min(in_use_, size);
  if (candidate_ > size) choose();
}

void MtuSearch::choose() { candidate_ = bad_ - good_ <= kResolution ? 0 : good_ + (bad_ - good_) / 2; }

}  // namespace ocvpn::pkt
