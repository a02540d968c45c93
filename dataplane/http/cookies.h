// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace sluice::http {

/// Splits the value of one Cookie field as ModSecurity 3 does, calling sink(name, value) with views
/// into it: at `;`, blanks at the end of the last piece cut, names cut at their left only, values
/// untouched (no unquoting, no decoding), pieces without name skipped. RFC 6265 section 5.2 agrees
/// but for the blanks around `=`. O(size).
template <typename Sink>
void for_each_cookie(std::string_view field, Sink&& sink) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  if (field.ends_with(';')) field.remove_suffix(1);
  while (!field.empty() && blank(field.back())) field.remove_suffix(1);
  while (!field.empty()) {
    const std::size_t end = field.find(';');
    std::string_view piece = field.substr(0, end);
    while (!piece.empty() && blank(piece.front())) piece.remove_prefix(1);
    const std::size_t equals = piece.find('=');
    const std::string_view name = piece.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : piece.substr(equals + 1);
    if (!name.empty()) sink(name, value);
    if (end == std::string_view::npos) return;
    field.remove_prefix(end + 1);
  }
}

/// The quoted values of a Cookie field that some read otherwise than for_each_cookie: to RFC 2109,
/// and to Python's http.cookies and Werkzeug, a semicolon between quotes is a character and a
/// backslash escapes the next one. Calls sink(name, value) where the value holds either, with views
/// into the field and without the quotes; unquote_cookie undoes the escapes. It may reach over what
/// others take for the next cookies, which are looked at all the same. O(size): a value ends at the
/// next quote that is not escaped, at the latest where the next value begins.
template <typename Sink>
void for_each_quoted_cookie(std::string_view field, Sink&& sink) {
  constexpr std::string_view kBlanks = " \t\v\f\r\n";
  const auto skip = [&](std::size_t at) {
    return std::min(field.find_first_not_of(kBlanks, at), field.size());
  };
  for (std::size_t end = 0; end < field.size(); ++end) {
    const std::size_t begin = skip(end);
    end = std::min(field.find(';', begin), field.size());
    const std::size_t equals = field.substr(0, end).find('=', begin);
    if (equals == std::string_view::npos) continue;
    const std::size_t quote = skip(equals + 1);
    if (quote >= end || field[quote] != '"') continue;
    std::size_t close = quote + 1;
    bool differs = false;
    for (; close < field.size() && field[close] != '"'; ++close) {
      differs |= field[close] == ';' || field[close] == '\\';
      if (field[close] == '\\') ++close;
    }
    if (close >= field.size() || !differs) continue;
    const std::size_t behind = close + 1;
    if (skip(behind) > behind || behind == field.size() || field[behind] == ';') {
      sink(field.substr(begin, equals - begin), field.substr(quote + 1, close - quote - 1));
    }
  }
}

/// Undoes the escapes of a quoted value: three octal digits, or any other byte for itself. `to` has
/// room for value.size(). The bytes written.
inline std::size_t unquote_cookie(std::string_view value, char* to) {
  const auto octal = [value](std::size_t at, char highest) {
    return value[at] >= '0' && value[at] <= highest;
  };
  std::size_t size = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '\\' || i + 1 == value.size()) {
      to[size++] = value[i];
    } else if (i + 3 < value.size() && octal(i + 1, '3') && octal(i + 2, '7') &&
               octal(i + 3, '7')) {
      to[size++] = static_cast<char>((value[i + 1] - '0') * 64 + (value[i + 2] - '0') * 8 +
                                     (value[i + 3] - '0'));
      i += 3;
    } else {
      to[size++] = value[++i];
    }
  }
  return size;
}

}  // namespace sluice::http
