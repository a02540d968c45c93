// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/top.h"

#include <algorithm>
#include <bit>

#include "controlplane/telemetry/json_writer.h"
#include "dataplane/abi/reasons.h"

namespace sluice::telemetry {
namespace {

constexpr std::size_t kKeyBytesMax = 256;

void write_table(JsonWriter& json, const char* name, const TopTable& table, std::size_t count) {
  json.key(name).open('[');
  for (const auto& entry : table.busiest_now(count)) {
    json.open();
    json.field("key", std::string_view(entry.key)).field("count", entry.count);
    json.field("blocked", entry.blocked).field("error", entry.error);
    const double seconds = static_cast<double>(Top::kWindowNs) / 1e9;
    json.field("rate", static_cast<double>(entry.last_window) / seconds);
    json.field("mean_us", entry.count == 0 ? 0 : entry.duration_ns / entry.count / 1000);
    json.close();
  }
  json.close(']');
}

}  // namespace

void TopTable::add(const std::string& key, bool blocked, std::uint64_t duration_ns) {
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    Entry entry;
    entry.key = key;
    if (entries_.size() >= kKeysMax) {
      // O(keys), but only for a key that is not among the busiest.
      const auto least = std::min_element(
          entries_.begin(), entries_.end(),
          [](const auto& a, const auto& b) { return a.second.count < b.second.count; });
      entry.count = entry.error = least->second.count;
      entries_.erase(least);
    }
    at = entries_.emplace(key, std::move(entry)).first;
  }
  ++at->second.count;
  ++at->second.window;
  if (blocked) ++at->second.blocked;
  at->second.duration_ns += duration_ns;
}

void TopTable::next_window() {
  for (auto& [key, entry] : entries_) {
    entry.last_window = entry.window;
    entry.window = 0;
  }
}

std::vector<TopTable::Entry> TopTable::busiest(std::size_t count) const {
  std::vector<Entry> all;
  all.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) all.push_back(entry);
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.count != b.count ? a.count > b.count : a.key < b.key;
  });
  if (all.size() > count) all.resize(count);
  return all;
}

std::vector<TopTable::Entry> TopTable::busiest_now(std::size_t count) const {
  std::vector<Entry> all = busiest(entries_.size());
  std::stable_sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.window + a.last_window > b.window + b.last_window;
  });
  if (all.size() > count) all.resize(count);
  return all;
}

void LatencyHistogram::add(std::uint64_t ns) {
  const auto bucket = static_cast<std::size_t>(std::bit_width(ns / 1000));
  ++buckets_[std::min(bucket, buckets_.size() - 1)];
  ++count_;
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

void RecentLatency::next_window() {
  if (window_.count() == 0) return;
  last_ = window_;
  window_ = {};
}

LatencyHistogram RecentLatency::recent() const {
  LatencyHistogram both = last_;
  both.add(window_);
  return both;
}

std::uint64_t LatencyHistogram::percentile_us(double share) const {
  const double wanted = share * static_cast<double>(count_);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i];
    if (sum > 0 && static_cast<double>(sum) >= wanted) return std::uint64_t{1} << i;
  }
  return 0;
}

std::string route_of(std::string_view method, std::string_view uri) {
  std::string_view path = uri.substr(0, uri.find_first_of("?#"));
  std::size_t end = path.find('/', 1);
  if (end != std::string_view::npos) end = path.find('/', end + 1);
  std::string route(method.substr(0, 16));
  route += ' ';
  route += path.substr(0, std::min(end, kKeyBytesMax));
  return route;
}

void Top::add(const Record& record, const std::string& service) {
  const abi::EventHeader& header = record.header;
  const bool blocked = header.action == abi::Action::kBlock;
  if (record.type == abi::RecordType::kHttp) {
    ++requests_;
    ++window_requests_;
    if (blocked) ++blocked_;
    std::string client(record.first(abi::EventFieldId::kClientAddress).substr(0, kKeyBytesMax));
    if (client.empty()) client = address_text(header.source);
    clients_.add(client, blocked, header.duration_ns);
    std::string route(record.first(abi::EventFieldId::kRoute).substr(0, kKeyBytesMax));
    if (route.empty() && !record.first(abi::EventFieldId::kMethod).empty()) {
      route =
          route_of(record.first(abi::EventFieldId::kMethod), record.first(abi::EventFieldId::kUri));
    }
    // What is no HTTP has none.
    if (!route.empty()) routes_.add(route, blocked, header.duration_ns);
    if (!service.empty()) services_.add(service, blocked, header.duration_ns);
    added_.add(header.added_ns);
    // A request that we answered has no server's duration to show.
    if (!blocked) duration_.add(header.duration_ns);
    return;
  }

  // One that passed is an alert because a staged generation says otherwise.
  if (record.type == abi::RecordType::kAlert && header.action == abi::Action::kPass) return;
  reasons_.add(std::string(abi::reason_name(header.reason)), blocked, 0);
  for (const RuleMatch& match : record.matches) {
    rules_.add(std::to_string(match.fixed.rule_id), match.fixed.blocking != 0, 0);
  }
}

void Top::tick(std::uint64_t now_ns) {
  if (now_ns - window_start_ns_ < kWindowNs) return;
  window_start_ns_ = now_ns;
  for (TopTable* table : {&clients_, &routes_, &rules_, &reasons_, &services_}) {
    table->next_window();
  }
  added_.next_window();
  duration_.next_window();
  last_window_requests_ = window_requests_;
  window_requests_ = 0;
}

std::string Top::json(std::size_t count) const {
  std::string out;
  JsonWriter json(out);
  json.open();
  json.field("requests", requests_).field("blocked", blocked_);
  json.field("rate",
             static_cast<double>(last_window_requests_) / (static_cast<double>(kWindowNs) / 1e9));
  for (const auto& [name, histogram] :
       {std::pair{"added_us", &added_}, std::pair{"duration_us", &duration_}}) {
    const LatencyHistogram recent = histogram->recent();
    json.key(name).open();
    json.field("p50", recent.percentile_us(0.5)).field("p90", recent.percentile_us(0.9));
    json.field("p99", recent.percentile_us(0.99)).close();
  }
  write_table(json, "clients", clients_, count);
  write_table(json, "routes", routes_, count);
  write_table(json, "services", services_, count);
  write_table(json, "rules", rules_, count);
  write_table(json, "reasons", reasons_, count);
  json.close();
  return out;
}

}  // namespace sluice::telemetry
