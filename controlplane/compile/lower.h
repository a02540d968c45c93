// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <vector>

#include "controlplane/compile/fold.h"
#include "controlplane/compile/program.h"
#include "controlplane/seclang/link.h"

namespace sluice::compile {

/// One check before the scans are planned: a rule's operator and chain, and where it looks.
struct LoweredCheck {
  std::uint32_t rule = 0;  ///< index into Program::rules
  const seclang::Link* link = nullptr;
};

/// Turns the rules that folding left into the program's arrays, all but the scans. Complaints go to
/// `diagnostics`. Returns the rules that could be scanned for.
std::vector<LoweredCheck> lower(const Folded& folded, StringsBuilder& strings,
                                config::Diagnostics& diagnostics, Program& program);

/// The settings of the rules: limits, body access, the map of SecUnicodeMapFile.
void lower_settings(const seclang::LinkedRules& rules, StringsBuilder& strings,
                    config::Diagnostics& diagnostics, Program& program);

}  // namespace sluice::compile
