#include "pkt/mtu_search.h"

#include <algorithm>

#include "support/check.h"

using namespace ocvpn::test;
using namespace ocvpn::pkt;

namespace {

/** Probes until the search is over, on a path that lets `path` bytes through. Returns how many it took. */
int run(MtuSearch& search, uint32_t path) {
  int probes = 0;
  while (search.candidate() != 0 && probes < 100) {
    ++probes;
    if (search.candidate() <= path) {
      search.answered();
    } else {
      search.lost();
    }
  }
  return probes;
}

}  // namespace

TEST(finds_every_path) {
  for (uint32_t path = 576; path <= 1500; ++path) {
    MtuSearch search;
    search.start(1400, 576, 1434);
    const int probes = run(search, path);
    CHECK(probes < 12);
    CHECK(search.usable() <= path);
    CHECK(search.usable() + 8 >= std::min<uint32_t>(path, 1434));
  }
}

TEST(a_path_that_takes_all_costs_two_probes) {
  MtuSearch search;
  search.start(1400, 576, 1434);
  CHECK_EQ(run(search, 9000), 2);
  CHECK_EQ(search.usable(), 1434u);
}

TEST(a_lost_probe_of_the_size_in_use_lowers_it_at_once) {
  MtuSearch search;
  search.start(1400, 576, 1434);
  search.lost();
  CHECK(search.usable() < 1400);
  CHECK(search.usable() >= 576);
}

TEST(what_was_learnt_otherwise_bounds_the_search) {
  MtuSearch search;
  search.start(1400, 576, 9000);
  search.answered();
  search.limit(1420);
  run(search, 9000);
  CHECK(search.usable() <= 1420);
  CHECK(search.usable() >= 1400);
}

TEST(nothing_to_search_for) {
  MtuSearch search;
  CHECK_EQ(search.candidate(), 0u);
  search.answered();
  search.lost();
  search.start(576, 576, 576);
  CHECK_EQ(search.candidate(), 0u);
  CHECK_EQ(search.usable(), 576u);
}
