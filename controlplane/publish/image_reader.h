// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/verdict.h"

namespace sluice::publish {

/// The names that records and counters carry as numbers.
struct ImageNames {
  std::vector<std::string> services;     ///< by service index
  std::vector<abi::Mode> service_modes;  ///< their own, by the policy
  std::vector<std::string> limits;       ///< by limit id: "service/limit"
};

/// Reads them out of an image's policy section. Every offset is checked; what does not fit is left
/// out.
ImageNames image_names(std::string_view image);
/// What a limit was set to, in the words of policy.yaml.
struct ImageLimit {
  std::string service, name;
  std::vector<std::string> key;  ///< "client_address", "header:x-api-key", ...
  unsigned prefix_v4_bits = 0, prefix_v6_bits = 0;
  std::string rate;  ///< "100/s"
  std::uint64_t burst = 0;
  abi::Mode action = abi::Mode::kBlock;
  bool allows_when_full = false;
};
std::vector<ImageLimit> image_limits(std::string_view image);
/// The policy's own mode; kBlock where the image has none.
abi::Mode image_mode(std::string_view image);

}  // namespace sluice::publish
