// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <span>
#include <string_view>

#include "dataplane/engine/events.h"

namespace sluice::engine {

/// Copies the raw text of a refused head from `from`, where a line starts, cut to `out`, with
/// the values of fields that `mask` or is_secret_name() name replaced by "***". A head that was
/// refused may be divided in any way: CR and LF each end a line, a field's name is whatever stands
/// before its colon and holds the name, and a line without a colon is hidden from such a name on.
/// Returns the bytes written. O(head).
std::size_t copy_masked_head(std::string_view head, std::size_t from,
                             const EventOptions::Names& mask, std::span<char> out);

}  // namespace sluice::engine
