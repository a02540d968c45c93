// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::http {

/// Which of the switches path_nul to path_bytes, overlong_utf8 among them, the path of a target
/// fails (no query, no fragment): HH16 to HH18 and HH20. One pass, O(path).
[[nodiscard]] std::uint64_t strict_path_failures(std::string_view path);

}  // namespace sluice::http
