// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/generation_counters.h"

#include <array>

#include "dataplane/abi/policy.h"
#include "dataplane/abi/segments.h"

namespace sluice::engine {
namespace {

/// What is counted at each index, 0: nothing.
struct Names {
  std::array<std::uint64_t, abi::kServicesMax> services = {};
  std::array<std::uint64_t, abi::kLimitsMax> limits = {};
};

Names names_of(const Generation* generation) {
  Names names;
  if (generation == nullptr) return names;
  const abi::PolicyView& policy = generation->policy();
  std::size_t index = 0;
  for (const abi::PolicyService& service : generation->services()) {
    names.services[index++] = abi::fnv1a64(policy.text(service.name));
    for (const abi::PolicyLimit& limit : policy.items<abi::PolicyLimit>(service.limits)) {
      names.limits[limit.limit_id] = limit.identity;
    }
  }
  return names;
}

}  // namespace

void begin_counters(const Generation* before, const Generation* now,
                    abi::WorkerCounters& counters) {
  for (abi::Counter& hits : counters.rule_hits) hits.set(0);
  counters.rule_hits_generation.set(now == nullptr ? 0 : now->number());
  const Names was = names_of(before), is = names_of(now);
  for (std::size_t i = 0; i < was.services.size(); ++i) {
    if (was.services[i] == is.services[i]) continue;
    for (auto& reasons : counters.requests[i]) {
      for (abi::Counter& count : reasons) count.set(0);
    }
  }
  for (std::size_t i = 0; i < was.limits.size(); ++i) {
    if (was.limits[i] == is.limits[i]) continue;
    for (abi::Counter& count : counters.limits[i]) count.set(0);
  }
}

}  // namespace sluice::engine
