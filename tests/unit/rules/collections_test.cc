// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/collections.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::rules::test {
namespace {

using Kind = CollectionChange::Kind;

constexpr std::uint64_t kSecond = base::kNanosPerSecond;
constexpr std::uint64_t kStart = 5'000 * kSecond;

/// One worker's view of a table of its own or another's.
struct Rig {
  explicit Rig(CollectionMemory& memory, std::uint32_t worker = 0)
      : table(memory.span()), collections(table, worker) {}

  CollectionOutcome change(const std::string& key, const CollectionChange& what,
                           std::uint64_t now_ns = kStart, std::uint32_t timeout_s = 3600) {
    const CollectionTime time{now_ns, now_ns + 1'700'000'000 * kSecond, ++transaction, timeout_s};
    return collections.change(collections.identity(key), key, time, what);
  }
  void add(const std::string& key, const std::string& name, std::int64_t number,
           std::uint64_t now_ns = kStart) {
    EXPECT_EQ(change(key, {Kind::kAdd, name, {}, number}, now_ns), CollectionOutcome::kDone);
  }
  /// "-" if there is no such member.
  std::string value(const std::string& key, const std::string& name,
                    std::uint64_t now_ns = kStart) {
    const RecordView record = collections.read(collections.identity(key), now_ns);
    CollectionMember member{};
    return record.exists() && record.find(name, now_ns, member) ? std::string(member.value) : "-";
  }

  CollectionTable table;
  Collections collections;
  std::uint64_t transaction = 0;
};

TEST(Collections, MembersAreSetAddedToExpiredAndDeleted) {
  CollectionMemory memory(16);
  Rig rig(memory);
  EXPECT_EQ(rig.value("a", "x"), "-");
  rig.add("a", "x", 3);
  rig.add("a", "X", 4);
  EXPECT_EQ(rig.value("a", "x"), "7");
  EXPECT_EQ(rig.value("b", "x"), "-");
  EXPECT_EQ(rig.change("a", {Kind::kAssign, "text", "hello"}), CollectionOutcome::kDone);
  rig.add("a", "text", 1);
  EXPECT_EQ(rig.value("a", "text"), "1");
  rig.add("a", "x", -10);
  EXPECT_EQ(rig.value("a", "x"), "-3");
  EXPECT_EQ(rig.change("a", {Kind::kExpire, "x", {}, 60}), CollectionOutcome::kDone);
  rig.add("a", "x", 1, kStart + 59 * kSecond);
  EXPECT_EQ(rig.value("a", "x", kStart + 60 * kSecond - 1), "-2");
  EXPECT_EQ(rig.value("a", "x", kStart + 60 * kSecond), "-");
  // What has expired starts anew, without an end.
  rig.add("a", "x", 5, kStart + 60 * kSecond);
  EXPECT_EQ(rig.value("a", "x", kStart + 1000 * kSecond), "5");
  EXPECT_EQ(rig.change("a", {Kind::kDelete, "x", {}}), CollectionOutcome::kDone);
  EXPECT_EQ(rig.value("a", "x"), "-");
  EXPECT_EQ(rig.value("a", "text"), "1");
}

TEST(Collections, SumsWrapIn32Bits) {
  CollectionMemory memory(1);
  Rig rig(memory);
  rig.add("a", "x", INT32_MAX);
  rig.add("a", "x", 1);
  EXPECT_EQ(rig.value("a", "x"), "-2147483648");
}

TEST(Collections, ACollectionEndsAfterItsTimeout) {
  CollectionMemory memory(1);
  Rig rig(memory);
  EXPECT_EQ(rig.change("a", {Kind::kAdd, "x", {}, 1}, kStart, 10), CollectionOutcome::kDone);
  EXPECT_EQ(rig.value("a", "x", kStart + 9 * kSecond), "1");
  EXPECT_EQ(rig.value("a", "x", kStart + 10 * kSecond), "-");
  // A change prolongs it, and TIMEOUT says by how much.
  EXPECT_EQ(rig.change("a", {Kind::kAssign, "timeout", "100"}, kStart + 5 * kSecond),
            CollectionOutcome::kDone);
  EXPECT_EQ(rig.value("a", "x", kStart + 104 * kSecond), "1");
  EXPECT_EQ(rig.value("a", "x", kStart + 105 * kSecond), "-");
  EXPECT_EQ(rig.value("a", "timeout"), "-");
  rig.add("a", "x", 1, kStart + 105 * kSecond);
  EXPECT_EQ(rig.value("a", "x", kStart + 105 * kSecond), "1");
}

TEST(Collections, ANewerChangeIsNotUndoneByAnOlderClock) {
  CollectionMemory memory(1);
  Rig rig(memory);
  rig.add("a", "x", 1, kStart + 100 * kSecond);
  rig.add("a", "x", 1, kStart);
  EXPECT_EQ(rig.collections.read(rig.collections.identity("a"), kStart).header().updated_ns,
            kStart + 100 * kSecond);
}

TEST(Collections, AFullPageLosesExpiredThenTheOldest) {
  CollectionMemory memory(1);
  Rig rig(memory);
  const std::string text(900, 'v');
  const auto put = [&](const std::string& key, std::uint64_t at_s, std::uint32_t timeout_s) {
    EXPECT_EQ(rig.change(key, {Kind::kAssign, "x", text}, kStart + at_s * kSecond, timeout_s),
              CollectionOutcome::kDone);
  };
  put("oldest", 0, 3600);
  put("second", 1, 3600);
  put("short", 2, 1);
  put("third", 3, 3600);
  const std::uint64_t now = kStart + 10 * kSecond;
  EXPECT_EQ(rig.table.live_records(now), 3U);
  put("fourth", 10, 3600);
  EXPECT_EQ(rig.collections.counts().evictions, 0U);
  EXPECT_EQ(rig.table.live_records(now), 4U);
  rig.add("oldest", "y", 1, now);  // now the newest
  put("fifth", 10, 3600);
  EXPECT_EQ(rig.collections.counts().evictions, 1U);
  EXPECT_EQ(rig.value("second", "x", now), "-");
  EXPECT_EQ(rig.value("oldest", "x", now), text);
  EXPECT_EQ(rig.value("fifth", "x", now), text);
}

TEST(Collections, WhatDoesNotFitChangesNothing) {
  CollectionMemory memory(1);
  Rig rig(memory);
  rig.add("a", "count", 1);
  EXPECT_EQ(rig.change("a", {Kind::kAdd, std::string(129, 'n'), {}, 1}), CollectionOutcome::kFull);
  // A client that names members cannot push out others, nor grow beyond one record.
  std::size_t kept = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string name = "junk" + std::to_string(i);
    kept += rig.change("a", {Kind::kAdd, name, {}, 1}) == CollectionOutcome::kDone ? 1U : 0U;
  }
  EXPECT_EQ(kept, (2048U - 64 - 8 - 24) / 24);  // record, its header, its key, each member
  rig.add("a", "count", 1);
  EXPECT_EQ(rig.value("a", "count"), "2");
  EXPECT_EQ(rig.collections.counts().full, 1 + 200 - kept);
}

TEST(Collections, LongTextsAreCut) {
  CollectionMemory memory(1);
  Rig rig(memory);
  EXPECT_EQ(rig.change(std::string(5000, 'k'), {Kind::kAssign, "x", std::string(5000, 'v')}),
            CollectionOutcome::kDone);
  EXPECT_EQ(rig.value(std::string(5000, 'k'), "x"), std::string(1024, 'v'));
  EXPECT_EQ(rig.value(std::string(4999, 'k'), "x"), "-") << "the whole key counts";
  const RecordView record =
      rig.collections.read(rig.collections.identity(std::string(5000, 'k')), kStart);
  EXPECT_EQ(record.key(), std::string(64, 'k'));
}

TEST(Collections, UpdatesAreCountedOncePerTransaction) {
  CollectionMemory memory(1);
  Rig rig(memory);
  const auto header = [&] {
    return rig.collections.read(rig.collections.identity("a"), kStart).header();
  };
  rig.add("a", "x", 1);
  EXPECT_EQ(header().updates, 1U);
  EXPECT_EQ(header().created_by, 1U);
  rig.transaction = 0;
  rig.add("a", "x", 1);
  EXPECT_EQ(header().updates, 1U);
  rig.add("a", "x", 1);
  EXPECT_EQ(header().updates, 2U);
  EXPECT_EQ(header().created_by, 1U);
}

TEST(Collections, TheSegmentOutlivesItsProcess) {
  CollectionMemory memory(16);
  {
    Rig rig(memory);
    for (int i = 0; i < 100; ++i) rig.add("key" + std::to_string(i % 40), "x", 1);
  }
  ASSERT_TRUE(CollectionTable::valid(memory.span()));
  Rig rig(memory);
  EXPECT_EQ(rig.value("key3", "x"), "3");
  EXPECT_EQ(rig.value("key30", "x"), "2");
  EXPECT_EQ(rig.table.live_records(kStart), 40U);
}

TEST(Collections, ADamagedSegmentIsNotValid) {
  CollectionMemory memory(16);
  EXPECT_FALSE(CollectionTable::valid(memory.span().first(100)));
  EXPECT_FALSE(CollectionTable::valid(memory.span().first(memory.span().size() - 4096)));
  auto* words = reinterpret_cast<std::uint64_t*>(memory.span().data() + 4096);
  words[3] = words[4];  // two slots with one page
  EXPECT_FALSE(CollectionTable::valid(memory.span()));
  words[3] = 16 + abi::kWorkersMax;  // a page that there is not
  EXPECT_FALSE(CollectionTable::valid(memory.span()));
}

/// Bytes that nobody of ours wrote: no read outside of the page, no crash.
TEST(Collections, DamagedPagesAreReadInBounds) {
  CollectionMemory memory(1);
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    Rig rig(memory);
    if (round % 4 == 0) {
      for (int i = 0; i < 6; ++i) {
        (void)rig.change("k" + std::to_string(i), {Kind::kAssign, "name", std::string(70, 'v')});
      }
    }
    const auto bytes = memory.span().subspan(2 * 4096);
    for (int i = 0; i < 4; ++i)
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    for (int i = 0; i < 6; ++i) {
      const RecordView record =
          rig.collections.read(rig.collections.identity("k" + std::to_string(i)), kStart);
      std::size_t size = 0;
      if (record.exists()) {
        record.for_each([&](const CollectionMember& member) {
          size += member.name.size() + member.value.size();
          return true;
        });
        EXPECT_LE(size, 4096U);
      }
      (void)rig.change("k" + std::to_string(i), {Kind::kAdd, "n", {}, 1});
    }
  }
}

// -- a model --------------------------------------------------------------------------------------

/// The same changes on maps, without bounds.
class Model {
 public:
  struct Member {
    std::string value;
    std::uint64_t expires_ns = 0;
  };
  struct Record {
    std::map<std::string, Member> members;
    std::uint64_t updated_ns = 0, timeout_s = 0;
  };

  void change(const std::string& key, const CollectionChange& what, std::uint64_t now_ns,
              std::uint32_t timeout_s) {
    drop_expired(now_ns);
    const std::string name(what.name);
    const auto record = records_.find(key);
    const bool has = record != records_.end() && record->second.members.contains(name);
    if (!has && (what.kind == Kind::kDelete || what.kind == Kind::kExpire)) return;
    if (record == records_.end()) records_[key].timeout_s = timeout_s;
    Record& to = records_[key];
    to.updated_ns = now_ns;
    switch (what.kind) {
      case Kind::kAssign:
        to.members[name].value = std::string(what.value);
        break;
      case Kind::kAdd:
        to.members[name].value =
            std::to_string(std::atoll(to.members[name].value.c_str()) + what.number);
        break;
      case Kind::kDelete:
        to.members.erase(name);
        break;
      case Kind::kExpire:
        to.members[name].expires_ns = now_ns + static_cast<std::uint64_t>(what.number) * kSecond;
        break;
    }
  }
  std::map<std::string, std::string> members(const std::string& key, std::uint64_t now_ns) {
    drop_expired(now_ns);
    std::map<std::string, std::string> result;
    for (const auto& [name, member] : records_[key].members) result[name] = member.value;
    if (records_[key].members.empty() && records_[key].updated_ns == 0) records_.erase(key);
    return result;
  }

 private:
  void drop_expired(std::uint64_t now_ns) {
    std::erase_if(records_, [&](const auto& each) {
      return each.second.updated_ns + each.second.timeout_s * kSecond <= now_ns;
    });
    for (auto& [key, record] : records_) {
      std::erase_if(record.members, [&](const auto& each) {
        return each.second.expires_ns != 0 && each.second.expires_ns <= now_ns;
      });
    }
  }
  std::map<std::string, Record> records_;
};

TEST(Collections, RandomChangesAgreeWithAMap) {
  const char* given = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = given == nullptr ? 11 : std::strtoull(given, nullptr, 10);
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  CollectionMemory memory(64);
  Model model;
  Rig rig(memory);
  std::uint64_t now = kStart;
  for (int round = 0; round < 100'000; ++round) {
    const std::string key = "key" + std::to_string(random() % 150);
    const std::string name(1 + random() % 3, static_cast<char>('a' + random() % 4));
    const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
    const auto kind = static_cast<Kind>(random() % 4);
    const std::int64_t number = kind == Kind::kExpire
                                    ? static_cast<std::int64_t>(1 + random() % 50)
                                    : static_cast<std::int64_t>(random() % 1000) - 500;
    const auto timeout_s = static_cast<std::uint32_t>(20 + random() % 100);
    const CollectionChange what{kind, name, value, number};
    ASSERT_EQ(rig.change(key, what, now, timeout_s), CollectionOutcome::kDone);
    model.change(key, what, now, timeout_s);
    if (random() % 8 == 0) now += random() % 2000 * (kSecond / 1000);
    const std::string other = "key" + std::to_string(random() % 150);
    std::map<std::string, std::string> seen;
    const RecordView record = rig.collections.read(rig.collections.identity(other), now);
    if (record.exists()) {
      record.for_each([&](const CollectionMember& member) {
        if (!member.expired(now)) seen[std::string(member.name)] = std::string(member.value);
        return true;
      });
    }
    ASSERT_EQ(seen, model.members(other, now)) << "round " << round << ", " << other;
  }
  ASSERT_EQ(rig.collections.counts().evictions, 0U) << "the model knows no evictions";
}

// -- workers --------------------------------------------------------------------------------------

/// Four workers: every addition counts once, whoever meets whom, fresh collections included, and a
/// text is whole whenever it is read.
TEST(Collections, WorkersAddExactly) {
  CollectionMemory memory(8);
  CollectionTable table(memory.span());
  constexpr int kWorkers = 4, kAdds = 100'000, kKeys = 5;
  std::atomic<int> ready{0};
  std::atomic<std::uint64_t> torn{0}, failed{0};
  const auto work = [&](std::uint32_t worker) {
    Collections own(table, worker);
    const std::string text(200, static_cast<char>('a' + worker));
    ready.fetch_add(1);
    while (ready.load() < kWorkers) {
    }
    for (int i = 0; i < kAdds; ++i) {
      const std::string key = "key" + std::to_string(i % kKeys);
      const base::Hash128 identity = own.identity(key);
      const CollectionTime time{kStart, kStart, std::uint64_t{worker} << 32 | unsigned(i), 3600};
      const auto add = own.change(identity, key, time, {Kind::kAdd, "count", {}, 1});
      const auto set = own.change(identity, key, time, {Kind::kAssign, "text", text});
      failed += add == CollectionOutcome::kDone && set == CollectionOutcome::kDone ? 0U : 1U;
      const RecordView record = own.read(identity, kStart);
      CollectionMember member{};
      if (!record.exists() || !record.find("text", kStart, member) || member.value.size() != 200 ||
          member.value.find_first_not_of(member.value[0]) != std::string_view::npos) {
        ++torn;
      }
    }
  };
  std::vector<std::thread> workers;
  for (std::uint32_t i = 0; i < kWorkers; ++i) workers.emplace_back(work, i);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(torn.load(), 0U);
  EXPECT_EQ(failed.load(), 0U);
  Collections reader(table, 10);
  std::int64_t sum = 0;
  for (int k = 0; k < kKeys; ++k) {
    CollectionMember member{};
    const RecordView record = reader.read(reader.identity("key" + std::to_string(k)), kStart);
    ASSERT_TRUE(record.exists() && record.find("count", kStart, member));
    sum += std::atoll(std::string(member.value).c_str());
  }
  EXPECT_EQ(sum, std::int64_t{kWorkers} * kAdds);
  EXPECT_TRUE(CollectionTable::valid(memory.span()));
}

/// A process that is killed somewhere in a change: the next one finds every change that was done,
/// the one under way whole or not at all, and all pages.
TEST(Collections, AKilledWriterLeavesWholeRecords) {
  const std::size_t bytes = CollectionTable::bytes_for(2) + 4096;
  void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* memory = static_cast<std::uint8_t*>(shared);
  auto* done = reinterpret_cast<std::atomic<std::uint64_t>*>(memory + bytes - 4096);
  const std::span<std::uint8_t> segment{memory, bytes - 4096};
  CollectionTable::format(segment, 2);
  std::mt19937_64 random(5);
  std::uint64_t before = 0;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      const CollectionTable table(segment);
      Collections own(table, 0);
      const base::Hash128 identity = own.identity("k");
      for (std::uint64_t i = done->load() + 1;; ++i) {
        const CollectionTime time{kStart, kStart, i, 3600};
        const std::string text(300, static_cast<char>('a' + i % 26));
        (void)own.change(identity, "k", time, {Kind::kAssign, "text", text});
        (void)own.change(identity, "k", time, {Kind::kAdd, "count", {}, 1});
        done->store(i);
      }
    }
    ASSERT_GT(child, 0);
    while (done->load() == before) usleep(50);
    usleep(static_cast<unsigned>(random() % 2000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    ASSERT_TRUE(CollectionTable::valid(segment));
    const CollectionTable table(segment);
    Collections reader(table, 0);
    const RecordView record = reader.read(reader.identity("k"), kStart);
    CollectionMember text{}, count{};
    ASSERT_TRUE(record.exists() && record.find("text", kStart, text) &&
                record.find("count", kStart, count));
    const std::uint64_t counted = std::strtoull(std::string(count.value).c_str(), nullptr, 10);
    ASSERT_TRUE(counted == done->load() || counted == done->load() + 1)
        << counted << " of " << done->load();
    ASSERT_EQ(text.value, std::string(300, text.value[0]));
    done->store(before = counted);
  }
  EXPECT_GT(before, 1000U);
  munmap(shared, bytes);
}

}  // namespace
}  // namespace sluice::rules::test
