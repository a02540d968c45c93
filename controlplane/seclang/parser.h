// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

#include "controlplane/seclang/ast.h"
#include "controlplane/seclang/lexer.h"
#include "controlplane/seclang/values.h"

namespace sluice::seclang {

/// Parses one file. Every error is reported with its place; directives with errors are left out.
/// O(text).
std::vector<Node> parse(const SourceText& source, Reporter& reporter);

/// Reads the list of a SecRuleRemoveById: ids and ranges separated by blanks or commas.
std::vector<IdRange> parse_ids(const PlacedText& list, Reporter& reporter);

}  // namespace sluice::seclang
