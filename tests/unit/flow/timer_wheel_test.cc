// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/flow/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace sluice::flow {
namespace {

constexpr base::Nanos kTick = base::Nanos{1} << TimerWheel::kTickBits;
constexpr base::Nanos kSecond = base::kNanosPerSecond;

struct Wheel {
  explicit Wheel(std::size_t timers = 64, base::Nanos start = 12345)
      : memory(TimerWheel::memory_bytes(timers) / 8 + 1),
        wheel(std::span(reinterpret_cast<std::uint8_t*>(memory.data()), memory.size() * 8), timers,
              start) {}
  std::vector<std::uint32_t> fired(base::Nanos now) {
    std::vector<std::uint32_t> ids;
    while (wheel.advance(now, 1000, [&](std::uint32_t id) { ids.push_back(id); })) {
    }
    return ids;
  }
  std::vector<std::uint64_t> memory;
  TimerWheel wheel;
};

TEST(TimerWheel, FiresNotBeforeTheDeadlineAndAtMostATickLate) {
  Wheel w;
  w.wheel.schedule(3, 10 * kTick + 5);
  EXPECT_TRUE(w.fired(10 * kTick + 4).empty());
  EXPECT_EQ(w.fired(11 * kTick), std::vector<std::uint32_t>{3});
  EXPECT_FALSE(w.wheel.scheduled(3));
  EXPECT_EQ(w.wheel.size(), 0U);
}

TEST(TimerWheel, CancelledAndMovedTimersDoNotFireAtTheirOldTime) {
  Wheel w;
  w.wheel.schedule(1, kSecond);
  w.wheel.schedule(2, kSecond);
  w.wheel.cancel(1);
  w.wheel.schedule(2, 3 * kSecond);
  EXPECT_TRUE(w.fired(2 * kSecond).empty());
  EXPECT_EQ(w.fired(3 * kSecond + kTick), std::vector<std::uint32_t>{2});
}

TEST(TimerWheel, ATimerMayBeSetAgainFromItsOwnCall) {
  Wheel w;
  int calls = 0;
  w.wheel.schedule(0, kSecond);
  for (base::Nanos now = kSecond; now < 11 * kSecond; now += 2 * kTick) {
    w.wheel.advance(now, 100, [&](std::uint32_t id) {
      ++calls;
      w.wheel.schedule(id, now + kSecond);
    });
  }
  EXPECT_GE(calls, 9);
  EXPECT_LE(calls, 10);
}

TEST(TimerWheel, SurvivesLongSilenceAndDeadlinesBeyondItsHorizon) {
  Wheel w;
  const base::Nanos year = 365 * 24 * 3600 * kSecond;
  w.wheel.schedule(1, year);
  w.wheel.schedule(2, 3600 * kSecond);
  EXPECT_EQ(w.fired(7200 * kSecond), std::vector<std::uint32_t>{2});
  EXPECT_TRUE(w.fired(year - kSecond).empty());
  EXPECT_EQ(w.fired(year + kTick), std::vector<std::uint32_t>{1});
}

TEST(TimerWheel, DeadlinesAcrossTheTurnOfTheHighestDigitAreNotLate) {
  const base::Nanos turn = (base::Nanos{1} << 32) * kTick;
  Wheel w(64, turn - kSecond);
  w.wheel.schedule(5, turn + kSecond);
  EXPECT_TRUE(w.fired(turn).empty());
  EXPECT_EQ(w.fired(turn + kSecond + kTick), std::vector<std::uint32_t>{5});
}

// Evasion RX10: a million flows that end in one millisecond do not stall the worker.
TEST(TimerWheel, RX10_OneCallDoesABoundedNumberOfSteps) {
  Wheel w(100000, 0);
  for (std::uint32_t id = 0; id < 100000; ++id) w.wheel.schedule(id, kSecond);
  std::size_t fired = 0, calls = 0;
  bool more = true;
  while (more) {
    std::size_t here = 0;
    more = w.wheel.advance(2 * kSecond, 64, [&](std::uint32_t) { ++here; });
    ASSERT_LE(here, 64U);
    fired += here;
    ASSERT_LT(++calls, 10000U);
  }
  EXPECT_EQ(fired, 100000U);
}

TEST(TimerWheel, AgreesWithASortedMapOverRandomOperations) {
  const unsigned seed = 4711;
  std::mt19937_64 random(seed);
  Wheel w(256, 0);
  std::map<std::uint32_t, base::Nanos> model;
  base::Nanos now = 0;
  for (int step = 0; step < 100000; ++step) {
    const auto id = static_cast<std::uint32_t>(random() % 256);
    switch (random() % 4) {
      case 0:
      case 1: {
        const base::Nanos deadline = now + (random() % kSecond << random() % 14);
        w.wheel.schedule(id, deadline);
        model[id] = deadline;
        break;
      }
      case 2:
        w.wheel.cancel(id);
        model.erase(id);
        break;
      default:
        now += random() % kSecond << random() % 10;
        for (const std::uint32_t fired : w.fired(now)) {
          ASSERT_TRUE(model.contains(fired)) << "seed " << seed << " step " << step;
          ASSERT_LE(model[fired], now);
          model.erase(fired);
        }
        for (const auto& [left, deadline] : model) {
          ASSERT_GT(deadline + kTick, now) << "seed " << seed << " step " << step << " id " << left;
        }
    }
    ASSERT_EQ(w.wheel.size(), model.size());
  }
}

}  // namespace
}  // namespace sluice::flow
