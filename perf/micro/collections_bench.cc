// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/rules/collections.h"

namespace sluice::rules {
namespace {

constexpr std::uint64_t kNow = 1'000 * base::kNanosPerSecond;

/// A table of 16 MiB, as memory.collections_mb has it by default, with so many clients that have
/// two counters each.
struct Table {
  explicit Table(std::size_t clients)
      : slots(CollectionTable::slots_for(16u << 20)),
        words(CollectionTable::bytes_for(slots) / 8),
        table((CollectionTable::format(span(), slots), span())),
        collections(table, 0) {
    for (std::size_t i = 0; i < clients; ++i) {
      add(key(i), "count");
      add(key(i), "burst_count");
    }
  }
  std::span<std::uint8_t> span() {
    return {reinterpret_cast<std::uint8_t*>(words.data()), words.size() * 8};
  }
  static std::string key(std::size_t i) {
    return std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) + "." +
           std::to_string(i & 255) + ".203";
  }
  void add(const std::string& client, const char* name) {
    const CollectionTime time{kNow, kNow, ++transaction, 3600};
    (void)collections.change(collections.identity(client), client, time,
                             {CollectionChange::Kind::kAdd, name, {}, 1});
  }

  std::size_t slots;
  std::vector<std::uint64_t> words;
  CollectionTable table;
  Collections collections;
  std::uint64_t transaction = 0;
};

/// One setvar:ip.count=+1 of a random client among range(0).
void BM_Collections_add(benchmark::State& state) {
  Table table(static_cast<std::size_t>(state.range(0)));
  const auto clients = static_cast<std::size_t>(state.range(0));
  std::size_t i = 0;
  for (auto _ : state) {
    i = (i * 25214903917 + 11) % clients;
    table.add(Table::key(i), "count");
  }
  state.counters["live"] = static_cast<double>(table.table.live_records(kNow));
  state.counters["evictions"] = static_cast<double>(table.collections.counts().evictions);
}
BENCHMARK(BM_Collections_add)->Arg(1)->Arg(1000)->Arg(40'000)->Arg(80'000)->Arg(200'000);

void BM_Collections_read(benchmark::State& state) {
  Table table(static_cast<std::size_t>(state.range(0)));
  const auto clients = static_cast<std::size_t>(state.range(0));
  std::size_t i = 0;
  for (auto _ : state) {
    i = (i * 25214903917 + 11) % clients;
    const RecordView record =
        table.collections.read(table.collections.identity(Table::key(i)), kNow);
    CollectionMember member{};
    benchmark::DoNotOptimize(record.exists() && record.find("count", kNow, member));
  }
}
BENCHMARK(BM_Collections_read)->Arg(1)->Arg(1000)->Arg(40'000);

/// All threads on one collection, as GLOBAL is.
void BM_Collections_shared(benchmark::State& state) {
  static std::unique_ptr<Table> table;
  if (state.thread_index() == 0) table = std::make_unique<Table>(1);
  static const std::string key = Table::key(0);
  std::unique_ptr<Collections> own;
  std::uint64_t transaction = std::uint64_t(state.thread_index()) << 32;
  for (auto _ : state) {
    if (own == nullptr) {
      own = std::make_unique<Collections>(table->table,
                                          static_cast<std::uint32_t>(state.thread_index() + 1));
    }
    const CollectionTime time{kNow, kNow, ++transaction, 3600};
    benchmark::DoNotOptimize(
        own->change(own->identity(key), key, time, {CollectionChange::Kind::kAdd, "count", {}, 1}));
  }
}
BENCHMARK(BM_Collections_shared)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace sluice::rules

BENCHMARK_MAIN();
