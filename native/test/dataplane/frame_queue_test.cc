// What waits during a hold, and what may go first.
#include "dataplane/frame_queue.h"

#include <algorithm>
#include <deque>

#include "support/check.h"
#include "support/model.h"

using namespace ocvpn::test;
using ocvpn::dataplane::FrameQueue;
using ocvpn::pkt::kMaxTunFrame;

namespace {

/** false: no room. */
bool keep(FrameQueue& queue, const Bytes& frame) {
  uint8_t* room = queue.room();
  if (room == nullptr) return false;
  std::copy(frame.begin(), frame.end(), room);
  queue.keep(frame.size());
  return true;
}

Bytes take(FrameQueue& queue) {
  const auto frame = queue.take();
  return Bytes(frame.data(), frame.data() + frame.size());
}

bool may_pass(FrameQueue& queue, const Bytes& frame) {
  uint8_t* room = queue.room();
  if (!CHECK(room != nullptr)) return false;
  std::copy(frame.begin(), frame.end(), room);
  return queue.may_pass({room, frame.size()});
}

Model flow(uint16_t port, size_t payload, int version = 4) {
  Random random(7);
  Model model = random_model(random, version, false, payload, true);
  model.sport = port;
  return model;
}

Bytes frame_of(const Model& model) { return concat(Bytes(10), build(model)); }

}  // namespace

TEST(frames_leave_in_their_order_whatever_their_lengths) {
  Random random(seed());
  FrameQueue queue;
  std::deque<Bytes> model;
  for (int i = 0; i < 3000; ++i) {
    if (random.below(5) < 3) {
      const size_t length = random.one_in(3) ? random.between(1, 200) : random.one_in(4) ? kMaxTunFrame : random.between(1, kMaxTunFrame);
      const Bytes frame = random.bytes(length);
      if (keep(queue, frame)) {
        model.push_back(frame);
      } else {
        CHECK(model.size() >= 2);  // no matter where its memory begins and ends
      }
    } else if (!model.empty()) {
      CHECK(take(queue) == model.front());
      model.pop_front();
    }
    CHECK_EQ(queue.empty(), model.empty());
    if (random.one_in(10)) queue.release();
  }
}

TEST(what_waits_is_bounded) {
  FrameQueue queue;
  size_t count = 0;
  while (count < 100000 && keep(queue, Bytes(60))) ++count;
  CHECK_EQ(count, FrameQueue::kFrames);
  FrameQueue large;
  count = 0;
  while (count < 100000 && keep(large, Bytes(kMaxTunFrame))) ++count;
  CHECK(count >= 15 && count * kMaxTunFrame <= FrameQueue::kBytes);
}

TEST(a_small_packet_passes_unless_its_own_flow_waits) {
  for (const int version : {4, 6}) {
    FrameQueue queue;
    CHECK(keep(queue, frame_of(flow(1000, 1300, version))));
    const Bytes own = frame_of(flow(1000, 20, version));
    CHECK(!may_pass(queue, own));
    // Those of which the byte of the hash is the same wait, too: one in 256.
    int passed = 0;
    for (uint16_t port = 2000; port < 2100; ++port) passed += may_pass(queue, frame_of(flow(port, 20, version))) ? 1 : 0;
    CHECK(passed >= 90);
    take(queue);
    CHECK(may_pass(queue, own));
  }
}

TEST(a_flow_waits_until_its_last_frame_has_left) {
  FrameQueue queue;
  const Bytes own = frame_of(flow(1000, 20));
  CHECK(keep(queue, own));
  CHECK(keep(queue, own));
  take(queue);
  CHECK(!may_pass(queue, own));
  take(queue);
  CHECK(may_pass(queue, own));
}

TEST(large_packets_do_not_pass) {
  FrameQueue queue;
  CHECK(keep(queue, frame_of(flow(1000, 1300))));
  const size_t headers = frame_of(flow(2000, 0)).size();
  CHECK(may_pass(queue, frame_of(flow(2000, FrameQueue::kLightBytes - headers))));
  CHECK(!may_pass(queue, frame_of(flow(2000, FrameQueue::kLightBytes - headers + 1))));
}

TEST(what_is_no_packet_is_taken_like_one) {
  FrameQueue queue;
  for (const Bytes& frame : {Bytes(), Bytes(3), Bytes(10), Bytes(10 + 19, 0x45), Bytes(200, 0xff)}) {
    CHECK(may_pass(queue, frame));
    if (frame.empty()) continue;
    CHECK(keep(queue, frame));
    CHECK(!may_pass(queue, Bytes(200, 0xfe)));
    CHECK(take(queue) == frame);
  }
}

TEST(memory_is_given_back_only_when_nothing_waits) {
  FrameQueue queue;
  const Bytes frame = frame_of(flow(1000, 100));
  CHECK(keep(queue, frame));
  queue.release();
  CHECK(take(queue) == frame);
  queue.release();
  CHECK(keep(queue, frame));
  CHECK(take(queue) == frame);
}
