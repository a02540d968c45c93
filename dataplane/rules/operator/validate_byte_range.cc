// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <charconv>

namespace sluice::rules {

namespace {

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// 0-255, or -1.
int read_byte(std::string_view text) {
  text = trim_blanks(text);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return -1;
  return value >= 0 && value <= 255 ? value : -1;
}

}  // namespace

ByteRange parse_byte_range(std::string_view text, std::size_t& ignored) {
  ByteRange range;
  ignored = 0;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    const std::string_view element = text.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
    const std::size_t dash = element.find('-');
    const int first = read_byte(element.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : read_byte(element.substr(dash + 1));
    if (first < 0 || last < first) {
      ++ignored;
      continue;
    }
    for (int byte = first; byte <= last; ++byte) {
      range.allowed[byte / 64] |= std::uint64_t{1} << (byte % 64);
    }
  }
  return range;
}

bool outside_byte_range(const ByteRange& range, Bytes value) {
  for (const std::uint8_t byte : value) {
    if ((range.allowed[byte / 64] >> (byte % 64) & 1) == 0) return true;
  }
  return false;
}

}  // namespace sluice::rules
