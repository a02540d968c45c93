// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string_view>

#include "dataplane/abi/ruleset.h"

namespace sluice::compile {

/// How a value must begin to match a pattern in PCRE2's syntax: its least length, and of patterns
/// that are anchored at their beginning the bytes that may stand in its first places, in both cases
/// of letters. Whatever is not understood asks for nothing, so the answer is always on the safe
/// side. O(pattern^2).
abi::ScanLead lead_of(std::string_view pattern);

/// What values of either must have.
abi::ScanLead either(const abi::ScanLead& left, const abi::ScanLead& right);

}  // namespace sluice::compile
