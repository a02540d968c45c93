// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/hostile/tables.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/engine/connection.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/limit/table.h"
#include "tests/hostile/cpu_time.h"
#include "tests/unit/engine/engine_rig.h"

namespace sluice::hostile {
namespace {

constexpr std::size_t kBatch = 1000, kBatches = 40, kFlows = 65536, kLimits = 65536;

/// 64-byte aligned and zeroed.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : bytes_((bytes + 63) / 64 * 64),
        data_(static_cast<std::uint8_t*>(std::aligned_alloc(64, bytes_))) {
    std::fill_n(data_, bytes_, std::uint8_t{0});
  }
  ~Memory() { std::free(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  [[nodiscard]] std::span<std::uint8_t> span() const { return {data_, bytes_}; }

 private:
  std::size_t bytes_;
  std::uint8_t* data_;
};

/// Nanoseconds a call: the least of several batches.
double least_ns(const std::function<void(std::size_t)>& call) {
  double least = 1e18;
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    const double begin = cpu_us();
    for (std::size_t i = 0; i < kBatch; ++i) call(batch * kBatch + i);
    least = std::min(least, (cpu_us() - begin) * 1000 / kBatch);
  }
  return least;
}

bool verdict(const std::string& name, double measured, double bound, const char* unit,
             double slack) {
  const bool good = measured <= bound * slack;
  std::printf("%s %s: %.1f %s, bound %.0f\n", good ? "PASS" : "FAIL", name.c_str(), measured, unit,
              bound);
  return good;
}

flow::FlowKey flow_of(std::uint64_t number) {
  flow::FlowKey key;
  key.client = base::IpAddress::from_v4_number(static_cast<std::uint32_t>(number * 2654435761U));
  key.server = *base::IpAddress::parse("198.51.100.2");
  key.client_port = static_cast<std::uint16_t>(number);
  key.server_port = 80;
  return key;
}

/// Neighbours are found as fast among attackers' flows as alone, and one flow too many is refused.
bool flow_table(double slack) {
  using Table = flow::FlowTable<engine::Connection>;
  base::HashKey hash_key{};
  base::seeded_hash_key(hash_key, 3);
  const Memory memory(Table::memory_bytes(kFlows));
  Table table(memory.span(), kFlows, hash_key);
  const auto find = [&](std::size_t i) {
    const flow::FlowKey key = flow_of(i % 64);
    if (table.find(key, table.hash(key)) == nullptr) std::abort();
  };
  std::uint64_t number = 0;
  const auto add = [&] {
    const flow::FlowKey key = flow_of(number++);
    return table.insert(key, table.hash(key)) != nullptr;
  };
  while (table.size() < 64) add();
  const double alone = least_ns(find);
  while (table.size() < kFlows && add()) {
  }
  std::printf("flow table: %zu of %zu flows of attackers\n", table.size(), kFlows);
  const bool refused = !add();
  std::printf("%s flow_table_refuses_one_too_many\n", refused ? "PASS" : "FAIL");
  std::printf("a neighbour's look-up alone: %.1f ns\n", alone);
  const double full = least_ns(find);
  return verdict("flow_table_full_of_attackers", full, 500, "ns a look-up", slack) && refused;
}

/// Every entry live: a new key is refused by name, an old one judged, as quickly as ever.
bool limit_table(double slack) {
  const Memory memory(limit::Table::bytes_for(kLimits));
  limit::Table::format(memory.span(), kLimits);
  limit::Table table(memory.span());
  const limit::Rate rate{3600 * base::kNanosPerSecond, 3600 * base::kNanosPerSecond};
  const auto key = [&](std::uint64_t number) {
    const std::uint64_t hash = base::keyed_hash64(table.hash_key(), &number, sizeof number);
    return limit::Key{hash | 1, hash >> 20};
  };
  const base::Nanos now = 1000 * base::kNanosPerSecond;
  (void)table.charge(key(0), rate, now);
  const double alone = least_ns([&](std::size_t) { (void)table.charge(key(0), rate, now); });
  for (std::uint64_t number = 1; number < 20 * kLimits; ++number) {
    (void)table.charge(key(number), rate, now);
  }
  const std::size_t live = table.live_entries(now);
  const limit::Decision stranger = table.charge(key(1ULL << 40), rate, now);
  std::printf("limit table: %zu of %zu entries live, a known key alone: %.1f ns\n", live,
              table.capacity(), alone);
  const bool named = stranger.outcome == limit::Outcome::kFull;
  std::printf("%s limit_table_full_is_named\n", named ? "PASS" : "FAIL");
  const double known = least_ns([&](std::size_t) { (void)table.charge(key(0), rate, now); });
  const double strange =
      least_ns([&](std::size_t i) { (void)table.charge(key((1ULL << 41) + i), rate, now); });
  const bool quick = verdict("limit_table_known_key", known, 500, "ns a charge", slack);
  return verdict("limit_table_strange_key", strange, 500, "ns a charge", slack) && quick && named;
}

/// One form whose segments come in the order that `offsets` says; the longest stretch of one call.
struct Stretch {
  double longest_us = 0, total_us = 0;
};
Stretch arrive(test::EngineRig& rig, unsigned port, const std::string& text,
               const std::vector<std::pair<std::size_t, std::size_t>>& pieces) {
  test::Dialog dialog(rig, port);
  dialog.handshake();
  Stretch stretch;
  const auto timed = [&](const std::function<void()>& call) {
    const double begin = cpu_us();
    call();
    const double us = cpu_us() - begin;
    stretch.total_us += us;
    stretch.longest_us = std::max(stretch.longest_us, us);
  };
  for (const auto& [offset, bytes] : pieces) {
    const test::Frame frame =
        dialog.client_frame(offset, std::string_view(text).substr(offset, bytes));
    timed([&] { (void)rig.push(engine::Side::kOutside, frame); });
  }
  for (int i = 0; i < 20; ++i) timed([&] { rig.poll(); });
  rig.engine->close_all(rig.now, rig.now + test::EngineRig::kWallOffset);
  rig.advance_ms(3000);
  (void)rig.records();
  rig.to_server.clear();
  rig.to_client.clear();
  return stretch;
}
Stretch least_of(test::EngineRig& rig, unsigned port, const std::string& text,
                 const std::vector<std::pair<std::size_t, std::size_t>>& pieces) {
  Stretch least{1e18, 1e18};
  for (unsigned i = 0; i < 5; ++i) {
    const Stretch stretch = arrive(rig, port + i, text, pieces);
    least.longest_us = std::min(least.longest_us, stretch.longest_us);
    least.total_us = std::min(least.total_us, stretch.total_us);
  }
  return least;
}

bool streams(double slack) {
  test::EngineRig rig;
  const std::string body = "a=" + std::string(60'000, 'x');
  const std::string text =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  // The first byte comes last, behind 43 segments of which every second one came first.
  std::vector<std::pair<std::size_t, std::size_t>> gaps;
  for (std::size_t odd = 0; odd < 2; ++odd) {
    for (std::size_t at = 1 + odd * 1400; at < text.size(); at += 2800) {
      gaps.emplace_back(at, std::min<std::size_t>(1400, text.size() - at));
    }
  }
  gaps.emplace_back(0, 1);
  const Stretch filled = least_of(rig, 3000, text, gaps);
  std::vector<std::pair<std::size_t, std::size_t>> tiny;
  for (std::size_t at = 900; at > 0; --at) tiny.emplace_back(at - 1, 1);
  const Stretch reverse = least_of(rig, 4000, text, tiny);
  std::vector<std::pair<std::size_t, std::size_t>> ordered;
  for (std::size_t at = 0; at < 900; ++at) ordered.emplace_back(at, 1);
  const Stretch one_by_one = least_of(rig, 5000, text, ordered);
  bool good = verdict("gap_filled_before_60_kB", filled.longest_us, 200 + 0.06 * 60'000,
                      "us at a stretch", slack);
  good =
      verdict("one_byte_segments_in_reverse", reverse.total_us / 900, 20, "us a segment", slack) &&
      good;
  return verdict("one_byte_segments", one_by_one.total_us / 900, 20, "us a segment", slack) && good;
}

/// Slow heads take every transaction: the next one is refused by name, not left waiting.
bool slow_heads() {
  test::EngineRig rig;
  std::vector<std::unique_ptr<test::Dialog>> dialogs;
  for (unsigned i = 0; i < 65; ++i) {
    dialogs.push_back(std::make_unique<test::Dialog>(rig, 6000 + i));
    dialogs.back()->handshake();
    (void)dialogs.back()->client("GET / HTTP/1.1\r\nHost: h\r\nX-Slow:");
  }
  // Nothing of it has left; the client learns of it when it sends again.
  (void)dialogs.back()->client_at(0, "GET / HTTP/1.1\r\n");
  const bool refused =
      dialogs.back()->server_read().empty() && dialogs.back()->client_reset() &&
      rig.dropped(abi::Reason::kWorkerMemory) + rig.dropped(abi::Reason::kBlockedFlow) != 0;
  rig.advance_ms(12'000);
  test::Dialog neighbour(rig, 7000);
  neighbour.handshake();
  (void)neighbour.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const bool served = !neighbour.server_read().empty();
  std::printf("%s slow_heads_beyond_the_pool_are_refused\n", refused ? "PASS" : "FAIL");
  std::printf("%s neighbours_are_served_once_slow_heads_have_timed_out\n",
              served ? "PASS" : "FAIL");
  return refused && served;
}

}  // namespace

bool check_tables(double slack) {
  bool good = flow_table(slack);
  good = limit_table(slack) && good;
  good = streams(slack) && good;
  return slow_heads() && good;
}

}  // namespace sluice::hostile
