// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/ip_address.h"

namespace sluice::api {

/// Which records of eve.json are wanted; what is empty lets every one through.
struct EventFilter {
  std::string type, verdict, reason, service;
  /// Of the source of the packets, or of the client by a trusted header.
  std::optional<base::IpPrefix> client;
  std::string rule;      ///< id of a rule that matched
  std::string contains;  ///< bytes anywhere in the line

  /// Whether a line is a whole JSON record that all filters let through. Most lines are refused by
  /// a search for the filters' bytes; O(line).
  [[nodiscard]] bool wants(const std::string& line) const;
};

}  // namespace sluice::api
