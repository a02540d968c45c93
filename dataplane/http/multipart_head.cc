// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/multipart_head.h"

#include "dataplane/http/characters.h"
#include "dataplane/http/head.h"

namespace sluice::http {
namespace {

constexpr std::size_t kContentTypeBytesMax = 1024;  // ModSecurity's
constexpr std::size_t kBoundaryBytesMax = 70;       // RFC 2046 section 5.1.1

constexpr std::string_view kSpaces = " \t\v\f\r\n";

std::size_t find_ignoring_case(std::string_view text, std::string_view word, std::size_t from) {
  for (std::size_t i = from; i + word.size() <= text.size(); ++i) {
    if (abi::equal_ignoring_case(text.substr(i, word.size()), word)) return i;
  }
  return std::string_view::npos;
}

/// How often the word occurs with an equals sign anywhere after it.
std::size_t count_boundaries(std::string_view value) {
  std::size_t count = 0, at = 0;
  while ((at = find_ignoring_case(value, "boundary", at)) != std::string_view::npos) {
    at += 8;
    if (value.find('=', at) != std::string_view::npos) ++count;
  }
  return count;
}

void trim_front(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
}

/// The text after the equals sign: a quoted string to its end, or a token to a semicolon.
void read_boundary_value(std::string_view text, MultipartBoundary& boundary) {
  if (text.starts_with('"')) {
    const std::size_t end = text.find('"', 1);
    if (end == std::string_view::npos) {
      boundary.error = true;
      return;
    }
    boundary.quoted = true;
    boundary.text = text.substr(1, end - 1);
    std::string_view rest = text.substr(end + 1);
    trim_front(rest);
    boundary.ambiguous |= !rest.empty() && rest.front() != ';';
  } else {
    boundary.text = text.substr(0, text.find(';'));
    const std::size_t last = boundary.text.find_last_not_of(kSpaces);
    const std::string_view trimmed =
        boundary.text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    boundary.ambiguous |= trimmed.size() != boundary.text.size();
    boundary.text = trimmed;
    if (boundary.text.find('"') != std::string_view::npos) boundary.error = true;
  }
}

}  // namespace

MultipartBoundary multipart_boundary(std::string_view value) {
  MultipartBoundary boundary;
  constexpr std::string_view kType = "multipart/form-data";
  const std::size_t count = count_boundaries(value);
  if (value.size() > kContentTypeBytesMax || value.size() < kType.size() || count != 1) {
    boundary.error = boundary.ambiguous = true;
    return boundary;
  }
  const std::size_t at = value.find("boundary", kType.size());
  if (at == std::string_view::npos) {  // another spelling: ModSecurity wants lower case
    boundary.error = boundary.ambiguous = true;
    return boundary;
  }
  std::size_t semicolons = 0;
  for (const char c : value.substr(kType.size(), at - kType.size())) {
    if (c == ';') {
      ++semicolons;
    } else if (kSpaces.find(c) == std::string_view::npos) {
      boundary.error = true;
    }
  }
  boundary.missing_semicolon = semicolons == 0;
  if (semicolons > 1) boundary.error = true;
  std::string_view rest = value.substr(at + 8);
  const std::size_t before = rest.size();
  trim_front(rest);
  if (!rest.starts_with('=')) boundary.error = true;
  boundary.whitespace = rest.size() != before;
  if (boundary.error) {
    boundary.ambiguous = true;
    return boundary;
  }
  rest.remove_prefix(1);
  const std::size_t after = rest.size();
  trim_front(rest);
  boundary.whitespace |= rest.size() != after;
  read_boundary_value(rest, boundary);
  const bool allowed = all_of_class(boundary.text, kClassBoundary);
  const bool inner_blank = boundary.quoted && boundary.text.find(' ') != std::string_view::npos;
  if (boundary.text.empty() || (!allowed && !inner_blank)) boundary.error = true;
  boundary.ambiguous |= boundary.error || boundary.whitespace || boundary.missing_semicolon ||
                        boundary.text.size() > kBoundaryBytesMax || boundary.text.ends_with(' ') ||
                        (!boundary.quoted && !all_of_class(boundary.text, kClassToken));
  if (boundary.error) boundary.text = {};
  return boundary;
}

namespace {

struct Parameter {
  std::string_view value, raw;  ///< raw: with its escapes
};

/// A quoted value from its opening quote on; `rest` is left behind the closing one.
Parameter read_quoted(std::string_view& rest, ArenaBuffer& unquoted, Disposition& into) {
  const char quote = rest.front();
  rest.remove_prefix(1);
  if (quote == '\'') into.invalid_quoting = into.ambiguous = true;
  std::size_t end = 0;
  bool escaped = false;
  for (; end < rest.size() && rest[end] != quote; ++end) {
    const bool escape = rest[end] == '\\' && end + 1 < rest.size() &&
                        (rest[end + 1] == quote || rest[end + 1] == '\\');
    if (escape) {
      escaped = true;
      ++end;
    }
  }
  const std::string_view raw = rest.substr(0, std::min(end, rest.size()));
  if (end >= rest.size()) {
    into.error = true;
    rest = {};
  } else {
    rest.remove_prefix(end + 1);
  }
  if (!escaped) return {raw, raw};
  into.ambiguous = true;
  const std::size_t start = unquoted.size();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const bool escape =
        raw[i] == '\\' && i + 1 < raw.size() && (raw[i + 1] == quote || raw[i + 1] == '\\');
    if (escape) ++i;
    if (!unquoted.push(static_cast<std::uint8_t>(raw[i]))) into.error = true;
  }
  return {unquoted.text().substr(start), raw};
}

Parameter read_token(std::string_view& rest) {
  const std::size_t end = std::min(rest.find_first_of("; \t"), rest.size());
  const std::string_view token = rest.substr(0, end);
  rest.remove_prefix(end);
  return {token, token};
}

/// An encoded word of mail headers ("=?utf-8?B?...?="): RFC 7578 has none, servers on Apache's
/// FileUpload (Tomcat, Struts) decode it in every parameter, and others take it as it is.
bool has_encoded_word(std::string_view value) {
  const std::size_t begin = value.find("=?");
  return begin != std::string_view::npos && value.find("?=", begin + 2) != std::string_view::npos;
}

void take_parameter(std::string_view name, const Parameter& parameter, Disposition& into) {
  into.ambiguous |= has_encoded_word(parameter.value);
  const bool is_name = abi::equal_ignoring_case(name, "name");
  const bool is_filename = abi::equal_ignoring_case(name, "filename");
  if (is_name) {
    if (into.has_name) into.error = into.ambiguous = true;
    into.has_name = true;
    into.name = parameter.value;
    into.raw_name = parameter.raw;
  } else if (is_filename) {
    if (into.has_filename) into.error = into.ambiguous = true;
    into.has_filename = true;
    into.filename = parameter.value;
    into.raw_filename = parameter.raw;
  } else {
    into.ambiguous = true;
    if (!abi::equal_ignoring_case(name, "filename*")) into.error = true;
  }
}

}  // namespace

Disposition read_disposition(std::string_view value, ArenaBuffer& unquoted) {
  Disposition read;
  constexpr std::string_view kFormData = "form-data";
  if (!value.starts_with(kFormData)) {
    read.error = true;
    return read;
  }
  std::string_view rest = value.substr(kFormData.size());
  bool extended = false;
  while (true) {
    trim_front(rest);
    if (rest.empty()) break;
    if (rest.front() != ';') {
      read.error = true;
      break;
    }
    rest.remove_prefix(1);
    trim_front(rest);
    if (rest.empty()) break;
    const std::string_view name = rest.substr(0, rest.find_first_of("=; \t"));
    rest.remove_prefix(name.size());
    trim_front(rest);
    if (!rest.starts_with('=')) {
      read.error = true;
      break;
    }
    // Blanks around the sign: no grammar has them, but there are servers that take the parameter.
    read.ambiguous |= rest.data() != name.data() + name.size();
    const bool is_extended = abi::equal_ignoring_case(name, "filename*");
    extended |= is_extended;
    rest.remove_prefix(1);
    trim_front(rest);
    const bool quoted = rest.starts_with('"') || rest.starts_with('\'');
    const Parameter parameter = quoted ? read_quoted(rest, unquoted, read) : read_token(rest);
    // RFC 8187 section 3.2.1: in charset'language'value the quotes are no quotes.
    if (!quoted && !is_extended && parameter.value.find('\'') != std::string_view::npos) {
      read.invalid_quoting = read.ambiguous = true;
    }
    if (quoted && !rest.empty() && rest.find_first_of(" \t;") != 0) read.invalid_quoting = true;
    take_parameter(name, parameter, read);
  }
  if (!read.has_name || read.name.empty()) read.error = true;
  if (extended && !read.has_filename) read.error = true;
  return read;
}

}  // namespace sluice::http
