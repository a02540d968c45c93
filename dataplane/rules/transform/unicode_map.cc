// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/unicode_map.h"

#include <charconv>
#include <string>

namespace sluice::rules {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  return line;
}

/// True if `line` is the head of the section of `codepage`: "20127 (US-ASCII)".
bool is_head(std::string_view line, std::uint32_t codepage) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || number != codepage) return false;
  return end == line.data() + line.size() || *end == ' ' || *end == '\t';
}

bool read_pair(std::string_view pair, abi::UnicodeMap& map) {
  std::uint32_t code = 0, byte = 0;
  const char* const end = pair.data() + pair.size();
  const auto left = std::from_chars(pair.data(), end, code, 16);
  if (left.ec != std::errc() || left.ptr == end || *left.ptr != ':') return false;
  const auto right = std::from_chars(left.ptr + 1, end, byte, 16);
  if (right.ec != std::errc() || right.ptr != end || code > 0xffff || byte > 0xff) return false;
  map.codes[code] = static_cast<std::int16_t>(byte);
  return true;
}

}  // namespace

base::Status parse_unicode_map(std::string_view text, std::uint32_t codepage,
                               abi::UnicodeMap& map) {
  for (std::int16_t& code : map.codes) code = abi::UnicodeMap::kUnmapped;
  for (const std::uint32_t dot : {0x002eu, 0x3002u, 0xff0eu, 0xff61u}) map.codes[dot] = '.';
  bool inside = false;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (!line.empty() && line.front() == '#') continue;
    if (!inside) {
      inside = is_head(line, codepage);
      continue;
    }
    if (line.empty()) return base::ok_status();
    while (!line.empty()) {
      const std::size_t end = line.find_first_of(" \t");
      const std::string_view pair = line.substr(0, end);
      if (!pair.empty() && !read_pair(pair, map)) {
        return base::Error{"unicode map: '" + std::string(pair) + "' is no pair like 00a0:20"};
      }
      line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    }
  }
  if (inside) return base::ok_status();
  return base::Error{"unicode map: no code page " + std::to_string(codepage) + " in the file"};
}

}  // namespace sluice::rules
