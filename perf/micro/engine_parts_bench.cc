// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/engine/events.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/timer_wheel.h"
#include "dataplane/limit/table.h"
#include "dataplane/stream/byte_store.h"

/// The stages of the poll loop between a parsed packet and the rules: flow look-up, reassembly,
/// limits and records.
namespace sluice {
namespace {

/// Zeroed memory on a 64-byte boundary.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : bytes_((bytes + 63) / 64 * 64),
        data_(static_cast<std::uint8_t*>(std::aligned_alloc(64, bytes_))) {
    std::memset(data_, 0, bytes_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { std::free(data_); }
  [[nodiscard]] std::span<std::uint8_t> span() const { return {data_, bytes_}; }

 private:
  std::size_t bytes_;
  std::uint8_t* data_;
};

/// A connection's state as large as the engine's.
struct Connection {
  std::uint8_t bytes[320];
};

flow::FlowKey key_of(std::uint32_t number) {
  flow::FlowKey key;
  key.client = base::IpAddress::from_v4_number(0x0a000000 + number);
  key.server = base::IpAddress::from_v4_number(0xc0000201);
  key.client_port = static_cast<std::uint16_t>(1024 + number % 60000);
  key.server_port = 80;
  return key;
}

/// Look-up of a burst of 32 random flows out of range(0), hashing included; reported per packet.
void BM_Flow_lookup(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  base::HashKey hash_key;
  base::seeded_hash_key(hash_key, 1);
  const Memory memory(flow::FlowTable<Connection>::memory_bytes(flows));
  flow::FlowTable<Connection> table(memory.span(), flows, hash_key);
  for (std::uint32_t i = 0; i < flows; ++i) {
    const flow::FlowKey key = key_of(i);
    if (table.insert(key, table.hash(key)) == nullptr) return state.SkipWithError("full");
  }
  flow::FlowKey keys[abi::kBurstMax];
  std::uint64_t hashes[abi::kBurstMax];
  Connection* found[abi::kBurstMax];
  std::uint64_t random = 1;
  for (auto _ : state) {
    for (std::size_t i = 0; i < abi::kBurstMax; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      keys[i] = key_of(static_cast<std::uint32_t>(random >> 33) % flows);
      hashes[i] = table.hash(keys[i]);
    }
    table.find_bulk(keys, hashes, found);
    for (Connection* each : found) benchmark::DoNotOptimize(each->bytes[0]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(abi::kBurstMax));
}
BENCHMARK(BM_Flow_lookup)->Arg(1)->Arg(1000)->Arg(100'000)->Arg(1'000'000);

/// A flow that comes and goes.
void BM_Flow_insert_erase(benchmark::State& state) {
  base::HashKey hash_key;
  base::seeded_hash_key(hash_key, 1);
  const Memory memory(flow::FlowTable<Connection>::memory_bytes(65536));
  flow::FlowTable<Connection> table(memory.span(), 65536, hash_key);
  std::uint32_t number = 0;
  for (auto _ : state) {
    const flow::FlowKey key = key_of(++number);
    table.erase(*table.insert(key, table.hash(key)));
  }
}
BENCHMARK(BM_Flow_insert_erase);

/// Sixteen segments of 1,448 bytes, kept, read and acknowledged. range(0): 0 in order, 1 in
/// reverse, as if each waited behind a gap. Reported per byte.
void BM_Reassembly(benchmark::State& state) {
  constexpr std::int64_t kSegments = 16, kBytes = 1448;
  const stream::PoolSizes sizes;
  const Memory memory(stream::Pools::memory_bytes(sizes));
  stream::Pools pools(memory.span(), sizes);
  const std::vector<std::uint8_t> segment(kBytes, 'x');
  const bool reverse = state.range(0) != 0;
  for (auto _ : state) {
    stream::ByteStore store;
    for (std::int64_t i = 0; i < kSegments; ++i) {
      const std::int64_t at = (reverse ? kSegments - 1 - i : i) * kBytes;
      if (!store.put(pools, at, segment, 0, reverse)) return state.SkipWithError("full");
    }
    for (std::int64_t at = 0; at < kSegments * kBytes;) {
      const base::Bytes view = store.view(pools, at, kSegments * kBytes);
      benchmark::DoNotOptimize(view.data());
      at += static_cast<std::int64_t>(view.size());
    }
    store.free_all(pools);
  }
  state.SetBytesProcessed(state.iterations() * kSegments * kBytes);
}
BENCHMARK(BM_Reassembly)->Arg(0)->Arg(1);

/// One charge of a random client out of range(0).
void BM_Limit_charge(benchmark::State& state) {
  const auto clients = static_cast<std::uint64_t>(state.range(0));
  const Memory memory(limit::Table::bytes_for(4u << 20));
  limit::Table::format(memory.span(), 4u << 20);
  limit::Table table(memory.span());
  const limit::Rate rate{1000, 1'000'000};
  std::uint64_t random = 1;
  base::Nanos now = 1'000'000'000'000;
  for (auto _ : state) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t client = (random >> 33) % clients + 1;
    benchmark::DoNotOptimize(
        table.charge({client * 0x9e3779b97f4a7c15, client * 0xc2b2ae3d27d4eb4f}, rate, now));
    now += 100;
  }
}
BENCHMARK(BM_Limit_charge)->Arg(1)->Arg(1000)->Arg(1'000'000);

/// The http record of one transaction into the ring, which a reader empties now and then.
void BM_Event_write(benchmark::State& state) {
  constexpr std::size_t kRingBytes = 4u << 20;
  const Memory memory(sizeof(abi::RingHeader) + kRingBytes);
  auto* header = new (memory.span().data()) abi::RingHeader{};
  header->capacity = kRingBytes;
  std::uint8_t* data = memory.span().data() + sizeof(abi::RingHeader);
  engine::EventOptions options;
  engine::EventWriter writer(options, {}, abi::RingWriter(header, data));
  abi::EventHeader event{};
  event.status = 200;
  engine::TransactionRecord record;
  record.header = &event;
  record.method = "GET";
  record.uri = "/api/v1/items/4711?expand=price";
  record.protocol = "HTTP/1.1";
  record.host = "orders.internal";
  record.user_agent = "shop-app/4.2";
  std::size_t written = 0;
  for (auto _ : state) {
    writer.transaction(record);
    if (++written % 1024 == 0) header->tail.store(header->head.load());
  }
  if (header->dropped.load() > 0) state.SkipWithError("records were lost");
}
BENCHMARK(BM_Event_write);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
