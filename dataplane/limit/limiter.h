// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/counters.h"
#include "dataplane/limit/keys.h"
#include "dataplane/limit/table.h"

/// The limits of one service, applied to one request.
namespace sluice::limit {

/// One request as limits see it. Fields: a range of objects with `name` and `value`, both
/// string_view. Everything is borrowed for the call.
template <typename Fields>
struct Request {
  const abi::PolicyService& service;
  std::string_view method, target;
  const Fields& fields;
  base::IpAddress client;  ///< of ClientAddressFinder
};

/// What the limits say; monitored ones never refuse.
struct Result {
  abi::Reason reason = abi::Reason::kNone;  ///< kLimit, kLimitTableFull or kNone
  abi::Mode mode = abi::Mode::kOff;         ///< of the limit that decided: kBlock refuses
  std::uint32_t limit_id = 0xffffffff;      ///< that limit
  std::string_view limit_name;              ///< lives as long as the image
  std::uint32_t retry_after_s = 0;          ///< rounded up, at least 1, for kLimit
};

/// The first of the policy's routes that a request fits; empty: none. `path`: without the query.
/// The name lives as long as the image. O(routes * path).
std::string_view named_route(const abi::PolicyView& policy, const abi::PolicyService& service,
                             std::string_view method, std::string_view path);

namespace detail {

/// The name of a request's route: the policy's first that fits, else its path's first two segments.
std::string_view route_of(const abi::PolicyView& policy, const abi::PolicyService& service,
                          std::string_view method, std::string_view path);

template <typename Fields>
void add_field(KeyBuilder& key, const Fields& fields, std::string_view name) {
  std::string_view value;
  std::size_t count = 0;
  for (const auto& field : fields) {
    if (!same_field_name(field.name, name)) continue;
    value = field.value;
    ++count;
  }
  count == 1 ? key.add(abi::LimitKeyPart::kHeader, value)
             : key.add_absent(abi::LimitKeyPart::kHeader);
}

template <typename Fields>
void add_cookie(KeyBuilder& key, const Fields& fields, std::string_view name) {
  std::string_view value;
  std::size_t count = 0;
  for (const auto& field : fields) {
    if (same_field_name(field.name, "cookie")) find_cookie(field.value, name, value, count);
  }
  count == 1 ? key.add(abi::LimitKeyPart::kCookie, value)
             : key.add_absent(abi::LimitKeyPart::kCookie);
}

template <typename Fields>
Key key_of(const Table& table, const abi::PolicyView& policy, const abi::PolicyLimit& limit,
           const Request<Fields>& request, std::string_view path) {
  KeyBuilder key(table.hash_key(), limit.identity);
  for (std::size_t i = 0; i < limit.key_count; ++i) {
    const abi::LimitKey& part = limit.keys[i];
    switch (part.part) {
      case abi::LimitKeyPart::kClientAddress: {
        const base::IpAddress masked =
            base::mask_client(request.client, limit.prefix_v4_bits, limit.prefix_v6_bits);
        key.add(part.part, base::as_text(masked.bytes));
        break;
      }
      case abi::LimitKeyPart::kHeader:
        add_field(key, request.fields, policy.text(part.name));
        break;
      case abi::LimitKeyPart::kCookie:
        add_cookie(key, request.fields, policy.text(part.name));
        break;
      case abi::LimitKeyPart::kRoute:
        key.add(part.part, request.method);
        key.add(part.part, route_of(policy, request.service, request.method, path));
        break;
      case abi::LimitKeyPart::kService:
        key.add(part.part, policy.text(request.service.name));
        break;
    }
  }
  return key.finish();
}

}  // namespace detail

/// Charges the request to every limit of its service. The first blocking limit that refuses decides
/// and takes back what the ones before it had charged, so that a refused request costs no other
/// bucket; monitored limits are charged and reported. A table that is not attached admits all.
/// counters: may be null. O(limits * (fields + path)), at most kLimitsPerServiceMax table entries.
template <typename Fields>
Result charge(Table& table, const abi::PolicyView& policy, const Request<Fields>& request,
              base::Nanos now, abi::WorkerCounters* counters) {
  Result result;
  const auto limits = policy.items<abi::PolicyLimit>(request.service.limits);
  if (limits.empty() || !table.attached()) return result;
  char buffer[kRoutePathBytesMax];
  const std::string_view path = route_path(request.target, buffer);
  std::array<Key, abi::kLimitsPerServiceMax> keys;
  std::array<bool, abi::kLimitsPerServiceMax> charged{};
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const abi::PolicyLimit& limit = limits[i];
    if (limit.action == abi::Mode::kOff) continue;
    keys[i] = detail::key_of(table, policy, limit, request, path);
    const Decision decision = table.charge(keys[i], {limit.interval_ns, limit.burst_ns}, now);
    if (counters != nullptr) {
      counters->limits[limit.limit_id][static_cast<std::size_t>(decision.outcome)].add();
    }
    charged[i] = decision.outcome == Outcome::kAdmitted;
    const bool refused =
        decision.outcome == Outcome::kLimited ||
        (decision.outcome == Outcome::kFull && limit.on_full == abi::OnFull::kDeny);
    if (!refused) continue;
    const bool blocks = limit.action == abi::Mode::kBlock;
    if (!blocks && result.reason != abi::Reason::kNone) continue;
    result.reason =
        decision.outcome == Outcome::kFull ? abi::Reason::kLimitTableFull : abi::Reason::kLimit;
    result.mode = limit.action;
    result.limit_id = limit.limit_id;
    result.limit_name = policy.text(limit.name);
    result.retry_after_s = static_cast<std::uint32_t>(
        (decision.wait_ns + base::kNanosPerSecond - 1) / base::kNanosPerSecond);
    if (result.retry_after_s == 0) result.retry_after_s = 1;
    if (!blocks) continue;
    for (std::size_t k = 0; k < i; ++k) {
      if (!charged[k]) continue;
      table.refund(keys[k], {limits[k].interval_ns, limits[k].burst_ns}, now);
    }
    return result;
  }
  return result;
}

}  // namespace sluice::limit
