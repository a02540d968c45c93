// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::compile {

/// Two patterns of which one or the other matches where `pattern` does: its largest choice of
/// alternatives shared out, `a(?:b|c|d)e` as `a(?:b)e` and `a(?:c|d)e`. For patterns that are too
/// large for one automaton. nullopt: it has no choice that is made once, or its syntax is not
/// followed. For what only asks whether there is a match: which one comes first is lost.
/// O(pattern).
std::optional<std::pair<std::string, std::string>> split_pattern(std::string_view pattern);

}  // namespace sluice::compile
