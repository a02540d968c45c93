// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

namespace sluice::limit {
namespace {

constexpr std::uint64_t kSecond = base::kNanosPerSecond;
constexpr std::uint64_t kStart = 1000 * kSecond;

/// A table in memory of its own, as it lies in the shared segment.
class Memory {
 public:
  explicit Memory(std::size_t entries) : bytes_(Table::bytes_for(entries)) {
    const std::size_t rounded = (bytes_ + 63) / 64 * 64;
    data_ = static_cast<std::uint8_t*>(std::aligned_alloc(64, rounded));
    std::fill_n(data_, rounded, std::uint8_t{0});
    Table::format(span(), entries);
  }
  ~Memory() { std::free(data_); }
  std::span<std::uint8_t> span() { return {data_, bytes_}; }

 private:
  std::size_t bytes_;
  std::uint8_t* data_;
};

Rate rate_of(std::uint64_t per_second, std::uint64_t burst) {
  return {kSecond / per_second, kSecond / per_second * burst};
}

TEST(LimitTable, AdmitsTheBurstThenTheRate) {
  Memory memory(64);
  Table table(memory.span());
  const Rate rate = rate_of(100, 50);
  const Key key{7, 3};
  std::uint64_t admitted = 0;
  // Ten offers a millisecond for 20 s: burst + rate * time.
  for (std::uint64_t ms = 0; ms < 20'000; ++ms) {
    for (int i = 0; i < 10; ++i) {
      admitted += table.charge(key, rate, kStart + ms * 1'000'000).outcome == Outcome::kAdmitted;
    }
  }
  EXPECT_GE(admitted, 50U + 1999U);
  EXPECT_LE(admitted, 50U + 2000U);
}

TEST(LimitTable, SaysExactlyWhenTheNextIsAdmitted) {
  Memory memory(64);
  Table table(memory.span());
  const Rate rate = rate_of(1, 2);
  const Key key{7, 3};
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kAdmitted);
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kAdmitted);
  const Decision refused = table.charge(key, rate, kStart + kSecond / 4);
  ASSERT_EQ(refused.outcome, Outcome::kLimited);
  EXPECT_EQ(refused.wait_ns, kSecond * 3 / 4);
  EXPECT_EQ(table.charge(key, rate, kStart + kSecond - 1).outcome, Outcome::kLimited);
  EXPECT_EQ(table.charge(key, rate, kStart + kSecond).outcome, Outcome::kAdmitted);
}

TEST(LimitTable, HS6_ATimeThatJumpsGivesNoMoreThanTheBurst) {
  Memory memory(64);
  Table table(memory.span());
  const Rate rate = rate_of(1, 2);
  const Key key{7, 3};
  const auto admitted_at = [&](std::uint64_t now) {
    int admitted = 0;
    for (int i = 0; i < 10; ++i)
      admitted += table.charge(key, rate, now).outcome == Outcome::kAdmitted;
    return admitted;
  };
  EXPECT_EQ(admitted_at(kStart), 2);
  EXPECT_EQ(admitted_at(kStart - kSecond), 0) << "back";
  EXPECT_EQ(admitted_at(kStart + kSecond), 1) << "as if it had not";
  EXPECT_EQ(admitted_at(kStart + 49 * 86400 * kSecond), 2) << "far ahead";
  EXPECT_EQ(admitted_at(kStart + 2 * kSecond), 0) << "and back again";
}

TEST(LimitTable, KeysDoNotShareABucket) {
  Memory memory(64);
  Table table(memory.span());
  const Rate rate = rate_of(1, 1);
  EXPECT_EQ(table.charge({1, 5}, rate, kStart).outcome, Outcome::kAdmitted);
  EXPECT_EQ(table.charge({2, 5}, rate, kStart).outcome, Outcome::kAdmitted);
  EXPECT_EQ(table.charge({1, 5}, rate, kStart).outcome, Outcome::kLimited);
  EXPECT_EQ(table.charge({2, 5}, rate, kStart).outcome, Outcome::kLimited);
}

TEST(LimitTable, AFullSetIsFullUntilAnEntryHasPassed) {
  Memory memory(8);
  Table table(memory.span());
  const Rate rate = rate_of(1, 1);
  for (std::uint64_t tag = 1; tag <= Table::kWays; ++tag) {
    EXPECT_EQ(table.charge({tag, 0}, rate, kStart).outcome, Outcome::kAdmitted);
  }
  EXPECT_EQ(table.live_entries(kStart), Table::kWays);
  EXPECT_EQ(table.charge({99, 0}, rate, kStart).outcome, Outcome::kFull);
  // Known keys are still served and still refused.
  EXPECT_EQ(table.charge({3, 0}, rate, kStart).outcome, Outcome::kLimited);
  EXPECT_EQ(table.charge({99, 0}, rate, kStart + kSecond).outcome, Outcome::kAdmitted);
}

TEST(LimitTable, RefundGivesOneRequestBack) {
  Memory memory(8);
  Table table(memory.span());
  const Rate rate = rate_of(1, 1);
  const Key key{4, 0};
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kAdmitted);
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kLimited);
  table.refund(key, rate, kStart);
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kAdmitted);
  EXPECT_EQ(table.charge(key, rate, kStart).outcome, Outcome::kLimited);
}

TEST(LimitTable, StateOutlivesTheTableObject) {
  Memory memory(8);
  const Rate rate = rate_of(1, 1);
  {
    Table table(memory.span());
    EXPECT_EQ(table.charge({4, 0}, rate, kStart).outcome, Outcome::kAdmitted);
  }
  ASSERT_TRUE(Table::valid(memory.span()));
  Table table(memory.span());
  EXPECT_EQ(table.charge({4, 0}, rate, kStart).outcome, Outcome::kLimited);
}

TEST(LimitTable, ADamagedSegmentIsNotValid) {
  Memory memory(8);
  EXPECT_FALSE(Table::valid(memory.span().subspan(0, 100)));
  reinterpret_cast<TableHeader*>(memory.span().data())->set_count = 1 << 20;
  EXPECT_FALSE(Table::valid(memory.span()));
}

/// Four workers on one key: one bucket, whoever comes when.
TEST(LimitTable, WorkersShareOneBucketExactly) {
  Memory memory(64);
  Table table(memory.span());
  constexpr std::uint64_t kBurst = 50'000;
  const Rate rate{kSecond, kSecond * kBurst};
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<int> ready{0};
  const auto work = [&] {
    Table own(memory.span());
    ready.fetch_add(1);
    while (ready.load() < 4) {
    }
    std::uint64_t mine = 0;
    for (std::uint64_t i = 0; i < kBurst; ++i) {
      mine += own.charge({11, 5}, rate, kStart).outcome == Outcome::kAdmitted;
    }
    admitted.fetch_add(mine);
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  // At the key's first sight each worker may add an entry of its own before they are merged.
  EXPECT_GE(admitted.load(), kBurst);
  EXPECT_LE(admitted.load(), kBurst + 3);
}

/// Fresh keys met by all workers at once: no debt is lost, and no entry stays behind twice.
TEST(LimitTable, RacingFirstRequestsKeepTheirDebt) {
  Memory memory(1 << 16);
  Table table(memory.span());
  constexpr std::uint64_t kKeys = 20'000;
  const Rate rate{kSecond, kSecond * 4};
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<int> ready{0};
  const auto work = [&] {
    Table own(memory.span());
    ready.fetch_add(1);
    while (ready.load() < 4) {
    }
    std::uint64_t mine = 0;
    for (std::uint64_t k = 1; k <= kKeys; ++k) {
      mine += own.charge({k, k * 77}, rate, kStart).outcome == Outcome::kAdmitted;
    }
    admitted.fetch_add(mine);
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(admitted.load(), kKeys * 4);
  for (std::uint64_t k = 1; k <= kKeys; ++k) {
    ASSERT_EQ(table.charge({k, k * 77}, rate, kStart).outcome, Outcome::kLimited) << "key " << k;
  }
  EXPECT_EQ(table.live_entries(kStart), kKeys);
  std::size_t in_pieces = 0;
  for (std::size_t set = 0; set < table.set_count(); set += 3) {
    in_pieces += table.live_entries(kStart, set, 3);
  }
  EXPECT_EQ(in_pieces, kKeys);
}

}  // namespace
}  // namespace sluice::limit
