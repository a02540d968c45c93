// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/verdict.h"

namespace sluice::publish {

/// The names that records and counters carry as numbers.
struct ImageNames {
  std::vector<std::string> services;  ///< by service index
  std::vector<std::string> limits;    ///< by limit id: "service/limit"
};

/// Reads them out of an image's policy section. Every offset is checked; what does not fit is left
/// out.
ImageNames image_names(std::string_view image);
/// The policy's own mode; kBlock where the image has none.
abi::Mode image_mode(std::string_view image);

}  // namespace sluice::publish
