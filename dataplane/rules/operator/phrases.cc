// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/phrases.h"

#include <utility>

namespace sluice::rules {

namespace {

constexpr std::string_view kWhitespace = " \t\n\v\f\r";

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// `|41 42|` at `i`: appends the bytes and moves behind the second bar. False if it is none.
bool read_hex(std::string_view text, std::size_t& i, std::string& out) {
  const std::size_t close = text.find('|', i + 1);
  if (close == std::string_view::npos || close == i + 1) return false;
  std::string bytes;
  int high = -1;
  for (const char digit : text.substr(i + 1, close - i - 1)) {
    if (digit == ' ' && high < 0) continue;
    const int value = hex_value(digit);
    if (value < 0) return false;
    if (high < 0) {
      high = value;
    } else {
      bytes += static_cast<char>(high * 16 + value);
      high = -1;
    }
  }
  if (high >= 0) return false;
  out += bytes;
  i = close + 1;
  return true;
}

}  // namespace

std::vector<std::string> parse_phrases(std::string_view argument) {
  while (!argument.empty() && (argument.front() == ' ' || argument.front() == '\t')) {
    argument.remove_prefix(1);
  }
  if (argument.size() >= 2 && argument.front() == '"' && argument.back() == '"') {
    argument = argument.substr(1, argument.size() - 2);
  }
  // An escape that is none turns all of them off, as the reference falls back to the raw text.
  bool escapes = true;
  for (std::size_t i = 0; i < argument.size(); ++i) {
    if (argument[i] != '\\') continue;
    ++i;
    if (i == argument.size() ||
        std::string_view(";:\\\"").find(argument[i]) == std::string_view::npos)
      escapes = false;
  }
  std::vector<std::string> phrases;
  std::string phrase;
  for (std::size_t i = 0; i < argument.size();) {
    const char byte = argument[i];
    if (kWhitespace.find(byte) != std::string_view::npos) {
      if (!phrase.empty()) phrases.push_back(std::move(phrase));
      phrase.clear();
      ++i;
    } else if (byte == '|' && read_hex(argument, i, phrase)) {
      continue;
    } else if (byte == '\\' && escapes) {
      phrase += argument[i + 1];
      i += 2;
    } else {
      phrase += byte;
      ++i;
    }
  }
  if (!phrase.empty()) phrases.push_back(std::move(phrase));
  return phrases;
}

std::vector<std::string> parse_phrase_file(std::string_view content) {
  std::vector<std::string> phrases;
  while (!content.empty()) {
    const std::size_t end = content.find('\n');
    const std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    const std::size_t first = line.find_first_not_of(kWhitespace);
    if (line.empty() || (first != std::string_view::npos && line[first] == '#')) continue;
    phrases.emplace_back(line);
  }
  return phrases;
}

}  // namespace sluice::rules
