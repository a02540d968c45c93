// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/compile/program.h"
#include "controlplane/compile/strings.h"

namespace sluice::compile {

/// Notes what the regexes need of rules whose targets no scan reads (TX, MATCHED_VARS, names in
/// MATCHED_VARS_NAMES), so that PCRE2 does not look at values that cannot match. Behind
/// plan_scans(). O(patterns).
void make_regex_needs(const StringsBuilder& strings, Program& program);

}  // namespace sluice::compile
