// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/abi/strict.h"
#include "dataplane/http/head.h"

namespace sluice::http {

/// Which switches of abi/strict.h the head fails, as bits of abi::strict_bit(): those from
/// kBodyUnexpected to kCredentials but kArguments and kRepeatedArguments, and of the body's
/// kBodyType, kBodyTypeUnknown, kBodyCharset, kBodyEncoding, kMultipartBoundary.
/// `trusted`: the request comes from a trusted proxy of the service. O(head), only for set
/// switches.
[[nodiscard]] std::uint64_t strict_head_failures(const RequestHead& head, std::uint64_t switches,
                                                 bool trusted);

/// The reason of the first failed switch that is on, or kNone.
[[nodiscard]] inline abi::Reason strict_reason(std::uint64_t failures, std::uint64_t switches) {
  const std::uint64_t both = failures & switches;
  if (both == 0) return abi::Reason::kNone;
  return abi::kStrictSwitches[static_cast<std::size_t>(__builtin_ctzll(both))].reason;
}

}  // namespace sluice::http
