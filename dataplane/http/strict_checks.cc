// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/strict_checks.h"

#include "dataplane/http/characters.h"
#include "dataplane/http/content_decoder.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/cookies.h"
#include "dataplane/http/multipart_head.h"
#include "dataplane/http/strict_path.h"

namespace sluice::http {
namespace {

using abi::Strict;
using abi::strict_bit;

constexpr std::uint64_t kPathSwitches =
    strict_bit(Strict::kPathNul) | strict_bit(Strict::kPathSlash) | strict_bit(Strict::kPathRoot) |
    strict_bit(Strict::kPathParameter) | strict_bit(Strict::kPathPercent) |
    strict_bit(Strict::kOverlongUtf8) | strict_bit(Strict::kPathBytes);

constexpr std::size_t kRangesMax = 5;  // HH22

bool has_odd_byte(std::string_view text) {
  unsigned found = 0;
  for (const char c : text) found |= kClasses[static_cast<std::uint8_t>(c)];
  return (found & kClassOddTarget) != 0;
}

bool has_high_byte(std::string_view text) {
  unsigned found = 0;
  for (const char c : text) found |= static_cast<std::uint8_t>(c);
  return found >= 0x80;
}

std::uint64_t target_failures(const RequestHead& head, std::uint64_t switches) {
  std::uint64_t failures = 0;
  const std::string_view target = head.path_and_query;
  const std::size_t fragment = target.find('#');
  if (fragment != std::string_view::npos) failures |= strict_bit(Strict::kFragment);
  const std::string_view without = target.substr(0, fragment);
  const std::size_t question = without.find('?');
  if ((switches & kPathSwitches) != 0)
    failures |= strict_path_failures(without.substr(0, question));
  if (question != std::string_view::npos && has_odd_byte(without.substr(question))) {
    failures |= strict_bit(Strict::kQueryBytes);
  }
  if (has_high_byte(target)) failures |= strict_bit(Strict::kTargetUtf8);
  if (head.target == "*" && head.method != "OPTIONS") failures |= strict_bit(Strict::kTargetForm);
  return failures;
}

/// One range: first-last, first-, or -last (RFC 9110 section 14.1.1).
bool is_byte_range(std::string_view range) {
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.size() == 1) return false;
  return all_of_class(range.substr(0, dash), kClassDigit) &&
         all_of_class(range.substr(dash + 1), kClassDigit);
}

bool range_fails(std::string_view value) {
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || equals == 0 ||
      !all_of_class(value.substr(0, equals), kClassToken)) {
    return true;
  }
  const bool bytes = abi::equal_ignoring_case(value.substr(0, equals), "bytes");
  std::string_view rest = value.substr(equals + 1);
  for (std::size_t count = 1;; ++count) {
    const std::size_t comma = rest.find(',');
    if (count > kRangesMax) return true;
    if (bytes && !is_byte_range(trim_ows(rest.substr(0, comma)))) return true;
    if (comma == std::string_view::npos) return false;
    rest.remove_prefix(comma + 1);
  }
}

bool accept_charset_fails(std::string_view value) {
  while (true) {
    const std::size_t comma = value.find(',');
    const std::string_view element = value.substr(0, comma);
    const std::string_view charset = trim_ows(element.substr(0, element.find(';')));
    if (charset != "*" && !allowed_charset(charset)) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// HS10: strict base64 (RFC 4648 section 4) of text without control bytes.
bool credentials_fail(std::string_view value) {
  constexpr std::string_view kScheme = "basic ";
  if (!abi::equal_ignoring_case(value.substr(0, kScheme.size()), kScheme)) return false;
  std::string_view text = value.substr(kScheme.size());
  if (text.size() % 4 != 0) return true;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int six = base64_value(c);
    if (six < 0) return true;
    bits = bits << 6 | static_cast<std::uint32_t>(six);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    const std::uint32_t byte = bits >> count & 0xff;
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return (bits & ((1u << count) - 1)) != 0;  // padding bits are 0
}

bool is_json_or_xml(std::string_view type) {
  const auto ends = [type](std::string_view suffix) {
    return type.size() > suffix.size() &&
           abi::equal_ignoring_case(type.substr(type.size() - suffix.size()), suffix);
  };
  return ends("/json") || ends("+json") || ends("/xml") || ends("+xml");
}

std::uint64_t content_type_failures(std::string_view value, bool has_body) {
  std::uint64_t failures = 0;
  const MediaType media = parse_media_type(value);
  const bool multipart = abi::equal_ignoring_case(media.type, "multipart/form-data");
  if (media.malformed) failures |= strict_bit(Strict::kBodyType);
  if (media.repeated || !allowed_charset(media.charset)) {
    failures |= strict_bit(Strict::kBodyCharset);
  }
  const bool known = multipart || is_json_or_xml(media.type) ||
                     abi::equal_ignoring_case(media.type, "application/x-www-form-urlencoded");
  if (has_body && !known) failures |= strict_bit(Strict::kBodyTypeUnknown);
  if (multipart && multipart_boundary(value).ambiguous) {
    failures |= strict_bit(Strict::kMultipartBoundary);
  }
  return failures;
}

bool has_cookie_version(std::string_view field) {
  bool found = false;
  for_each_cookie(field, [&found](std::string_view name, std::string_view) {
    found |= abi::equal_ignoring_case(name, "$version");
  });
  return found;
}

std::uint64_t bit_if(bool condition, Strict strict) { return condition ? strict_bit(strict) : 0; }

std::uint64_t field_failures(const Field& field, bool has_body, bool trusted) {
  switch (field.id) {
    case FieldId::kXForwardedHost:
    case FieldId::kXHost:
    case FieldId::kForwarded:
      return bit_if(!trusted, Strict::kForwardedHeaders);
    case FieldId::kXOriginalUrl:
    case FieldId::kXRewriteUrl:
    case FieldId::kXMiddlewareSubrequest:
    case FieldId::kProxy:
      return bit_if(!trusted, Strict::kInternalHeaders);
    case FieldId::kXHttpMethodOverride:
    case FieldId::kXHttpMethod:
    case FieldId::kXMethodOverride:
      return strict_bit(Strict::kMethodOverride);
    case FieldId::kCookie:
      return bit_if(has_cookie_version(field.value), Strict::kCookieVersion);
    case FieldId::kRange:
    case FieldId::kRequestRange:
      return bit_if(range_fails(field.value), Strict::kRange);
    case FieldId::kAcceptCharset:
      return bit_if(accept_charset_fails(field.value), Strict::kAcceptCharset);
    case FieldId::kAuthorization:
      return bit_if(credentials_fail(field.value), Strict::kCredentials);
    case FieldId::kContentType:
      return content_type_failures(field.value, has_body);
    case FieldId::kContentEncoding:
      return bit_if(content_coding(field.value) == ContentCoding::kUnsupported,
                    Strict::kBodyEncoding);
    default:
      return 0;
  }
}

}  // namespace

std::uint64_t strict_head_failures(const RequestHead& head, std::uint64_t switches, bool trusted) {
  if (switches == 0) return 0;
  const bool has_body = head.framing != BodyFraming::kNone;
  std::uint64_t failures = target_failures(head, switches);
  if (has_body && (head.method == "GET" || head.method == "HEAD")) {
    failures |= strict_bit(Strict::kBodyUnexpected);
  }
  if (has_body && head.find(FieldId::kContentType) == nullptr) {
    failures |= strict_bit(Strict::kBodyTypeUnknown);
  }
  for (const Field& field : head.fields) {
    if (field.id != FieldId::kOther) failures |= field_failures(field, has_body, trusted);
  }
  return failures & switches;
}

}  // namespace sluice::http
