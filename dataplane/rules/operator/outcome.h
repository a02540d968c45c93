// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

namespace sluice::rules {

/// What an operator with bounds on its work says.
enum class MatchOutcome : std::uint8_t {
  kMatch,
  kNoMatch,
  kLimit,  ///< a bound was hit, nothing is known: the caller fails closed and names it
};

}  // namespace sluice::rules
