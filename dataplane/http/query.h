// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace sluice::http {

struct PercentDecoded {
  std::size_t size = 0;           ///< bytes written
  std::size_t invalid_count = 0;  ///< `%` without two hexadecimal digits: left as they are
};

/// Decodes `%XX` and `+` once, as ModSecurity does for arguments: `%00` becomes NUL and stays.
/// `to`: room for from.size() bytes, may be from.data() itself. O(size).
PercentDecoded percent_decode(std::string_view from, char* to);

/// Whether percent_decode() would change anything.
[[nodiscard]] bool needs_percent_decode(std::string_view text);

/// Splits a query or a whole urlencoded body at `separator` (SecArgumentSeparator) and each piece
/// at its first `=`; calls sink(raw_name, raw_value) with views into `text`, in order. As
/// ModSecurity: an empty piece is an argument with empty name and value, but nothing follows a
/// final separator. O(size).
template <typename Sink>
void for_each_argument(std::string_view text, char separator, Sink&& sink) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view piece = text.substr(0, end);
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos) {
      sink(piece, std::string_view());
    } else {
      sink(piece.substr(0, equals), piece.substr(equals + 1));
    }
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace sluice::http
