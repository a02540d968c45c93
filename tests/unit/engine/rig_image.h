// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

struct RigOptions;

/// An image with the rig's policy and `rules` (SecLang; empty: the rig's own).
std::vector<std::uint8_t> rig_image(const RigOptions& options, const std::string& rules,
                                    std::uint64_t generation);

/// While on, an allocation aborts the test: nothing on the packet path may allocate.
void guard_allocations(bool on);

}  // namespace sluice::test
