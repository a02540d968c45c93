// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/limiter.h"

namespace sluice::limit {

std::string_view named_route(const abi::PolicyView& policy, const abi::PolicyService& service,
                             std::string_view method, std::string_view path) {
  for (const abi::PolicyRoute& route : policy.items<abi::PolicyRoute>(service.routes)) {
    if (route.method.bytes != 0 && policy.text(route.method) != method) continue;
    if (route_matches(policy.text(route.pattern), path)) return policy.text(route.name);
  }
  return {};
}

namespace detail {

std::string_view route_of(const abi::PolicyView& policy, const abi::PolicyService& service,
                          std::string_view method, std::string_view path) {
  const std::string_view named = named_route(policy, service, method, path);
  if (!named.empty()) return named;
  const std::size_t second = path.find('/', 1);
  if (second == std::string_view::npos) return path;
  return path.substr(0, path.find('/', second + 1));
}

}  // namespace detail
}  // namespace sluice::limit
