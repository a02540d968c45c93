// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/link_mirror.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::worker {
namespace {

constexpr base::Nanos kTick = 100 * base::kNanosPerMilli;
constexpr std::size_t kOutside = 0, kInside = 1;

/// Two ports with cables, each `negotiate` late after it was set up.
struct Wire {
  explicit Wire(base::Nanos negotiation) : negotiation_(negotiation) {}

  bool up(std::size_t side) const { return cable[side] && set[side] && now >= since[side]; }
  /// One tick of the main thread.
  void tick() {
    now += kTick;
    mirror.update(now, {up(kOutside), up(kInside)}, [this](std::size_t side, bool to) {
      if (!can_set) return false;
      ++changes;
      set[side] = to;
      since[side] = now + negotiation_;
      return true;
    });
  }
  void run(base::Nanos time) {
    for (const base::Nanos end = now + time; now < end;) tick();
  }

  base::Nanos now = 0;
  std::array<bool, 2> cable = {true, true}, set = {true, true};
  std::array<base::Nanos, 2> since = {};
  bool can_set = true;
  int changes = 0;
  LinkMirror mirror{0};

 private:
  base::Nanos negotiation_;
};

TEST(LinkMirror, OneSideFollowsTheOtherDownAndUp) {
  Wire wire(0);
  wire.run(base::kNanosPerSecond);
  for (const std::size_t lost : {kOutside, kInside}) {
    wire.cable[lost] = false;
    wire.run(kTick);
    EXPECT_FALSE(wire.set[1 - lost]);
    EXPECT_TRUE(wire.mirror.forced_down(1 - lost));
    wire.cable[lost] = true;
    wire.run(2 * kTick);
    EXPECT_TRUE(wire.set[1 - lost]);
    EXPECT_FALSE(wire.mirror.forced_down(1 - lost));
  }
  EXPECT_EQ(wire.changes, 4);
}

TEST(LinkMirror, SlowNegotiationDoesNotMakeTheSidesChaseEachOther) {
  Wire wire(3 * base::kNanosPerSecond);
  wire.since = {3 * base::kNanosPerSecond, base::kNanosPerSecond};  // started, not up yet
  wire.run(10 * base::kNanosPerSecond);
  EXPECT_EQ(wire.changes, 0);
  wire.cable[kOutside] = false;
  wire.run(base::kNanosPerSecond);
  wire.cable[kOutside] = true;
  wire.run(60 * base::kNanosPerSecond);
  EXPECT_EQ(wire.changes, 2);
  EXPECT_TRUE(wire.up(kOutside) && wire.up(kInside));
}

TEST(LinkMirror, ASideThatStaysDownIsMirroredOnceItHadItsTime) {
  Wire wire(0);
  wire.cable[kInside] = false;
  wire.run(kLinkSettles - 2 * kTick);
  EXPECT_EQ(wire.changes, 0);
  wire.run(3 * kTick);
  EXPECT_FALSE(wire.set[kOutside]);
}

TEST(LinkMirror, ADeviceThatCannotIsAskedOnce) {
  Wire wire(0);
  wire.can_set = false;
  wire.run(kTick);
  wire.cable[kInside] = false;
  wire.run(base::kNanosPerSecond);
  EXPECT_FALSE(wire.mirror.forced_down(kOutside));
  EXPECT_TRUE(wire.set[kOutside]);
}

}  // namespace
}  // namespace sluice::worker
