// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/telemetry/record.h"

namespace sluice::telemetry {

/// The busiest keys of a stream in bounded memory (Metwally et al. 2005, "Space-Saving"): a key
/// that comes when the table is full takes the place of the least one and inherits its count as
/// error.
class TopTable {
 public:
  static constexpr std::size_t kKeysMax = 1024;
  struct Entry {
    std::string key;
    std::uint64_t count = 0, blocked = 0, error = 0;
    std::uint64_t window = 0, last_window = 0;  ///< of the running and the last whole window
    std::uint64_t duration_ns = 0;              ///< summed
  };

  void add(const std::string& key, bool blocked, std::uint64_t duration_ns);
  void next_window();
  /// By their counts since the start.
  [[nodiscard]] std::vector<Entry> busiest(std::size_t count) const;
  /// By their counts in the running and the last whole window; of equal ones by those of the start.
  [[nodiscard]] std::vector<Entry> busiest_now(std::size_t count) const;

 private:
  std::unordered_map<std::string, Entry> entries_;
};

/// Powers of two of microseconds; percentiles to a factor of two, shown as upper bounds.
class LatencyHistogram {
 public:
  void add(std::uint64_t ns);
  void add(const LatencyHistogram& other);
  [[nodiscard]] std::uint64_t percentile_us(double share) const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::array<std::uint64_t, 40> buckets_{};
  std::uint64_t count_ = 0;
};

/// Of the running window and the last one in which there was anything.
class RecentLatency {
 public:
  void add(std::uint64_t ns) { window_.add(ns); }
  void next_window();
  [[nodiscard]] LatencyHistogram recent() const;

 private:
  LatencyHistogram window_, last_;
};

/// What `top` shows: aggregates over the records since the daemon's start, the busiest now first,
/// and recent latencies.
class Top {
 public:
  static constexpr std::uint64_t kWindowNs = 5'000'000'000;

  void add(const Record& record, const std::string& service);
  void tick(std::uint64_t now_ns);
  [[nodiscard]] std::string json(std::size_t count) const;

 private:
  TopTable clients_, routes_, rules_, reasons_, services_;
  RecentLatency added_, duration_;
  std::uint64_t requests_ = 0, blocked_ = 0, window_requests_ = 0, last_window_requests_ = 0;
  std::uint64_t window_start_ns_ = 0;
};

/// "GET /a/b": the method and at most two path segments, without the query.
std::string route_of(std::string_view method, std::string_view uri);

}  // namespace sluice::telemetry
