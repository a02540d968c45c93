// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <nlohmann/json.hpp>

namespace sluice::ctl {

/// How a rule of `explain` read the value: from `source` (as the parsers of HTTP and its bodies
/// gave it) through the rule's `transformations` to `value`. One {"transformation","value"} for
/// each that changed it; a multiMatch rule may have matched before the last. Empty where the record
/// has no source: masked, or nothing changed it. Runs the dataplane's own transformations.
nlohmann::json decoding_steps(const nlohmann::json& rule);

}  // namespace sluice::ctl
