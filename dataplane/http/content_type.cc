// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/content_type.h"

#include <array>

#include "dataplane/http/characters.h"
#include "dataplane/http/head.h"

namespace sluice::http {
namespace {

constexpr std::size_t kParametersMax = 8;  // more: malformed

/// token "=" ( token / quoted-string ), RFC 9110 section 5.6.6. False: not the grammar.
bool take_parameter(std::string_view& rest, std::string_view& name, std::string_view& value) {
  const std::size_t equals = rest.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  name = rest.substr(0, equals);
  rest.remove_prefix(equals + 1);
  if (!all_of_class(name, kClassToken)) return false;
  if (rest.starts_with('"')) {
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) return false;
    value = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    return true;
  }
  std::size_t end = 0;
  while (end < rest.size() && is_class(rest[end], kClassToken)) ++end;
  value = rest.substr(0, end);
  rest.remove_prefix(end);
  return end > 0;
}

bool is_type(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && slash > 0 && slash + 1 < text.size() &&
         all_of_class(text.substr(0, slash), kClassToken) &&
         all_of_class(text.substr(slash + 1), kClassToken);
}

}  // namespace

MediaType parse_media_type(std::string_view value) {
  MediaType media;
  const std::size_t end = std::min(value.find(';'), value.size());
  media.type = trim_ows(value.substr(0, end));
  std::string_view rest = value.substr(end);
  media.malformed = !is_type(media.type);
  if (media.malformed) media.type = {};
  std::array<std::string_view, kParametersMax> names;
  std::size_t count = 0;
  while (!rest.empty() && !media.malformed) {
    if (rest.front() != ';') {
      media.malformed = true;
      break;
    }
    rest = trim_ows(rest.substr(1));
    if (rest.empty()) break;
    std::string_view name, text;
    if (count == kParametersMax || !take_parameter(rest, name, text)) {
      media.malformed = true;
      break;
    }
    for (std::size_t i = 0; i < count; ++i)
      media.repeated |= abi::equal_ignoring_case(names[i], name);
    names[count++] = name;
    if (abi::equal_ignoring_case(name, "charset")) media.charset = text;
    rest = trim_ows(rest);
  }
  return media;
}

bool allowed_charset(std::string_view charset) {
  constexpr std::string_view kAllowed[] = {"utf-8",      "utf8",        "us-ascii",    "ascii",
                                           "iso-8859-1", "iso-8859-15", "windows-1252"};
  if (charset.empty()) return true;
  for (const std::string_view allowed : kAllowed) {
    if (abi::equal_ignoring_case(charset, allowed)) return true;
  }
  return false;
}

BodyProcessor default_body_processor(std::string_view content_type) {
  const auto begins = [content_type](std::string_view prefix) {
    return abi::equal_ignoring_case(content_type.substr(0, prefix.size()), prefix);
  };
  if (begins("multipart/form-data")) return BodyProcessor::kMultipart;
  if (begins("application/x-www-form-urlencoded")) return BodyProcessor::kUrlencoded;
  return BodyProcessor::kNone;
}

}  // namespace sluice::http
