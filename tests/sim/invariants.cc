// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/invariants.h"

#include <algorithm>
#include <string_view>

#include "tests/sim/http.h"

namespace sluice::sim {
namespace {

/// A head without the blanks around its field values, which the rules do not see.
std::string without_blanks(std::string_view head) {
  std::string text;
  for (std::size_t at = 0, end = 0; (end = head.find("\r\n", at)) != head.npos; at = end + 2) {
    std::string_view line = head.substr(at, end - at);
    const std::size_t colon = at == 0 ? head.npos : line.find(':');
    if (colon != head.npos) {
      text += line.substr(0, colon + 1);
      line.remove_prefix(colon + 1);
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      line = line.substr(0, line.find_last_not_of(" \t") + 1);
    }
    text += std::string(line) + "\r\n";
  }
  return text;
}

/// What was delivered but for a head that has only begun entered the rules room byte by byte.
std::string check_rules(std::string_view delivered, const Inspected& inspected) {
  constexpr std::string_view kHeadEnd = "\r\n\r\n";
  for (std::size_t i = 0;; ++i) {
    const std::size_t end = delivered.find(kHeadEnd);
    if (end == std::string_view::npos) return "";
    if (i == inspected.requests.size()) return "the server has more requests than the rules saw";
    const Inspected::Request& request = inspected.requests[i];
    const std::string_view head = delivered.substr(0, end + kHeadEnd.size());
    if (without_blanks(request.head) != without_blanks(head)) {
      return "the server has a head that the rules did not see";
    }
    delivered.remove_prefix(head.size());
    const std::string_view body = delivered.substr(0, content_length(head));
    if (!request.body.starts_with(body)) return "the server has a body that the rules did not see";
    delivered.remove_prefix(body.size());
  }
}

std::string check_one(const Delivered& delivered, const Inspected& inspected,
                      const Appliance& appliance) {
  if (!std::string_view(inspected.up).starts_with(delivered.bytes)) {
    const auto differs = std::mismatch(delivered.bytes.begin(), delivered.bytes.end(),
                                       inspected.up.begin(), inspected.up.end());
    return "the server has bytes that were not inspected, from " +
           std::to_string(differs.first - delivered.bytes.begin()) + " of " +
           std::to_string(delivered.bytes.size());
  }
  return appliance.has_rules() ? check_rules(delivered.bytes, inspected) : "";
}

}  // namespace

std::string check_server(const std::vector<Delivered>& all, const Appliance& appliance) {
  for (const Delivered& delivered : all) {
    if (delivered.bytes.empty()) continue;
    bool known = false;
    for (const Inspected& inspected : appliance.inspected) {
      if (inspected.client_isn != delivered.client_isn ||
          inspected.server_isn != delivered.server_isn) {
        continue;
      }
      known = true;
      const std::string problem = check_one(delivered, inspected, appliance);
      if (!problem.empty()) return problem;
    }
    if (!known) return "the server has bytes of a connection that was not inspected";
    std::string_view rest = delivered.bytes;
    while (const std::size_t bytes = message_bytes(rest)) {
      if (is_bad(rest.substr(0, bytes))) return "the server has a complete bad request";
      rest.remove_prefix(bytes);
    }
  }
  return "";
}

}  // namespace sluice::sim
