// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <vector>

#include "controlplane/compile/databases.h"
#include "controlplane/compile/lower.h"

namespace sluice::compile {

/// Decides which rules are found by scans, makes the databases of their patterns, and says which
/// values are scanned for which. A rule that cannot be scanned for is left as it is: the evaluator
/// looks at it every time.
void plan_scans(const std::vector<LoweredCheck>& checks, StringsBuilder& strings,
                DatabaseMaker& maker, Program& program, CompileReport& report);

/// The databases of @pm, which every image needs.
void make_phrase_databases(const StringsBuilder& strings, DatabaseMaker& maker,
                           config::Diagnostics& diagnostics, Program& program);

}  // namespace sluice::compile
