// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <map>
#include <string>
#include <vector>

#include "controlplane/compile/program.h"
#include "controlplane/seclang/link.h"

namespace sluice::compile {

/// TX as it is before the first rule that is left runs: keys in lower case.
using InitialTx = std::map<std::string, std::string>;

/// One check before the scans are planned: a rule's operator and chain, and where it looks.
struct LoweredCheck {
  std::uint32_t rule = 0;  ///< index into Program::rules
  const seclang::Link* link = nullptr;
};

/// Turns linked rules into the program's arrays, all but the scans. Complaints go to `diagnostics`.
/// Returns the rules that could be scanned for.
/// `dropped`: by rule, left out.
std::vector<LoweredCheck> lower(const seclang::LinkedRules& rules, const std::vector<bool>& dropped,
                                const InitialTx& initial, StringsBuilder& strings,
                                config::Diagnostics& diagnostics, Program& program);

/// The settings of the rules: limits, body access, the map of SecUnicodeMapFile.
void lower_settings(const seclang::LinkedRules& rules, StringsBuilder& strings,
                    config::Diagnostics& diagnostics, Program& program);

}  // namespace sluice::compile
