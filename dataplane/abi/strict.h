// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/abi/reasons.h"

/// The checks beyond framing (`inspect.strict` of policy.yaml and of a service): a request that
/// fails one gets its reason; rules are evaluated all the same. A default is on where no honest
/// client is known to fail the check (argued in docs/limits.md). `check` and `replay` without a
/// policy run with none. Append only; the place in the list is the bit.
// X(enumerator, name, default, reason, catalogue row, what is refused)
#define SLUICE_STRICT(X)                                                                           \
  /* request line and headers */                                                                   \
  X(kBodyUnexpected, "body_unexpected", false, kHttpBodyUnexpected, "HF7",                         \
    "a body on GET or HEAD")                                                                       \
  X(kForwardedHeaders, "forwarded_headers", false, kHttpHeaderForbidden, "HH5",                    \
    "X-Forwarded-Host, X-Host or Forwarded from a source that is no trusted proxy")                \
  X(kInternalHeaders, "internal_headers", true, kHttpHeaderForbidden, "HS2",                       \
    "X-Original-URL, X-Rewrite-URL, X-Middleware-Subrequest or Proxy from a source that is no "    \
    "trusted proxy")                                                                               \
  X(kMethodOverride, "method_override", true, kHttpMethod, "HS1",                                  \
    "X-HTTP-Method-Override, X-HTTP-Method or X-Method-Override")                                  \
  X(kCookieVersion, "cookie_version", true, kHttpCookie, "HH15", "a cookie named $Version")        \
  X(kPathNul, "path_nul", true, kHttpTarget, "HH16", "an encoded NUL in the path")                 \
  X(kPathSlash, "path_slash", false, kHttpTarget, "HH16",                                          \
    "an encoded slash or backslash in the path")                                                   \
  X(kPathRoot, "path_root", true, kHttpTarget, "HH16", "dot segments that lead above the root")    \
  X(kPathParameter, "path_parameter", true, kHttpTarget, "HH16",                                   \
    "a dot segment with a parameter (/..;x/)")                                                     \
  X(kPathPercent, "path_percent", true, kHttpPercent, "HH17",                                      \
    "% without two hexadecimal digits in the path")                                                \
  X(kOverlongUtf8, "overlong_utf8", true, kHttpPercent, "HH18",                                    \
    "overlong UTF-8 or a surrogate, raw or encoded, in the path")                                  \
  X(kFragment, "fragment", true, kHttpTarget, "HH19", "# in the request target")                   \
  X(kPathBytes, "path_bytes", true, kHttpTarget, "HH20",                                           \
    "a raw double quote, angle bracket, backslash or backtick in the path")                        \
  X(kQueryBytes, "query_bytes", false, kHttpTarget, "HH20",                                        \
    "a raw double quote, angle bracket, backslash or backtick in the query")                       \
  X(kTargetUtf8, "target_utf8", false, kHttpTarget, "HH20", "a raw byte above 0x7f in the target") \
  X(kTargetForm, "target_form", true, kHttpTarget, "HH21",                                         \
    "* without OPTIONS, or the authority form without CONNECT")                                    \
  X(kRange, "range", true, kHttpRange, "HH22", "a malformed Range, or one of more than 5 ranges")  \
  X(kAcceptCharset, "accept_charset", false, kHttpHeaderForbidden, "HH23",                         \
    "Accept-Charset other than UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15 or Windows-1252")          \
  X(kArguments, "arguments", true, kHttpArgs, "HH24", "more arguments than are inspected")         \
  X(kRepeatedArguments, "repeated_arguments", false, kHttpArgs, "HH25",                            \
    "an argument name that occurs twice in the query or in a form")                                \
  X(kCredentials, "credentials", true, kHttpCredentials, "HS10",                                   \
    "Basic credentials that are no base64 or hold control bytes")                                  \
  /* bodies */                                                                                     \
  X(kBodyType, "body_type", true, kBodyType, "HB1", "a Content-Type that is no media type")        \
  X(kBodyTypeUnknown, "body_type_unknown", false, kBodyType, "HB1",                                \
    "a body of a type that no body processor reads")                                               \
  X(kBodySniff, "body_sniff", false, kBodyType, "HB1", "JSON labelled as a form or as plain text") \
  X(kBodyCharset, "body_charset", true, kBodyCharset, "HB2",                                       \
    "a charset other than UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15 or Windows-1252, or two; "      \
    "JSON in UTF-16 or UTF-32 whatever its label")                                                 \
  X(kBodyEncoding, "body_encoding", true, kBodyEncoding, "HB3",                                    \
    "a content coding that is unknown or stacked")                                                 \
  X(kBodyForm, "body_form", false, kBodyForm, "HH17",                                              \
    "% without two hexadecimal digits in a urlencoded body")                                       \
  X(kMultipartBoundary, "multipart_boundary", true, kMultipartBoundary, "HB6",                     \
    "a boundary outside RFC 2046, or two")                                                         \
  X(kMultipartStructure, "multipart_structure", true, kMultipartStrict, "HB7",                     \
    "bare LF, text around the parts, folding, no final boundary, nested parts")                    \
  X(kMultipartHeaders, "multipart_headers", true, kMultipartStrict, "HB8",                         \
    "part headers that parsers read differently: duplicates, name*, transfer codings, "            \
    "encoded words")                                                                               \
  X(kJsonDuplicateKey, "json_duplicate_key", true, kJsonDupKey, "HB10",                            \
    "a key twice in one JSON object")                                                              \
  X(kJsonSyntax, "json_syntax", true, kJsonSyntax, "HB11", "JSON outside RFC 8259")                \
  X(kJsonSurrogate, "json_surrogate", true, kJsonSyntax, "HB12", "a lone surrogate in JSON")       \
  X(kJsonDepth, "json_depth", true, kJsonDepth, "HB13",                                            \
    "JSON deeper than 32, of more than 10,000 keys, or a number of more than 64 digits")           \
  X(kXmlSyntax, "xml_syntax", true, kXmlSyntax, "HB15", "XML that is not well-formed")             \
  X(kXmlDoctype, "xml_doctype", true, kXmlDoctype, "HB15", "XML with a document type")             \
  X(kXmlEncoding, "xml_encoding", true, kBodyCharset, "HB15",                                      \
    "XML that declares an encoding other than UTF-8 or US-ASCII")                                  \
  X(kXmlDepth, "xml_depth", true, kXmlDepth, "HB15",                                               \
    "XML deeper than 64, or more than 64 attributes of one element")                               \
  /* other readings */                                                                             \
  X(kOtherReadings, "other_readings", true, kNone, "HB1",                                          \
    "nothing: rules are also shown what lenient servers make of cookies and bodies")

namespace sluice::abi {

/// The number of a switch: its bit in PolicyService::strict.
enum class Strict : std::uint8_t {
#define SLUICE_X(enumerator, name, on, reason, row, refuses) enumerator,
  SLUICE_STRICT(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kStrictCount = static_cast<std::size_t>(Strict::kCount);
static_assert(kStrictCount <= 64);

struct StrictInfo {
  std::string_view name;
  bool default_on;
  Reason reason;
  std::string_view row;  ///< of the evasion catalogue
  std::string_view refuses;
};

inline constexpr std::array<StrictInfo, kStrictCount> kStrictSwitches = {{
#define SLUICE_X(enumerator, name, on, reason, row, refuses) \
  StrictInfo{name, on, Reason::reason, row, refuses},
    SLUICE_STRICT(SLUICE_X)
#undef SLUICE_X
}};

constexpr std::uint64_t strict_bit(Strict strict) {
  return std::uint64_t{1} << static_cast<unsigned>(strict);
}
constexpr bool is_strict(std::uint64_t switches, Strict strict) {
  return (switches & strict_bit(strict)) != 0;
}
constexpr const StrictInfo& strict_info(Strict strict) {
  return kStrictSwitches[static_cast<std::size_t>(strict)];
}

/// What a service has that says nothing.
inline constexpr std::uint64_t kStrictDefault = [] {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < kStrictCount; ++i) {
    if (kStrictSwitches[i].default_on) bits |= std::uint64_t{1} << i;
  }
  return bits;
}();

/// The switch of that name (exact). O(table).
constexpr std::optional<Strict> find_strict(std::string_view name) {
  for (std::size_t i = 0; i < kStrictCount; ++i) {
    if (name == kStrictSwitches[i].name) return static_cast<Strict>(i);
  }
  return std::nullopt;
}

}  // namespace sluice::abi
