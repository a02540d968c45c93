// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/transform.h"

#include <algorithm>
#include <array>

#include "dataplane/base/check.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules {

using abi::TransformId;

TransformResult apply_transform(TransformId id, base::Bytes input, const abi::UnicodeMap* map,
                                base::Arena& arena) {
  using namespace detail;
  switch (id) {
    case TransformId::kNone:
      return unchanged(input);
    case TransformId::kBase64Decode:
      return base64_decode(input, arena);
    case TransformId::kBase64DecodeExt:
      return base64_decode_ext(input, arena);
    case TransformId::kBase64Encode:
      return base64_encode(input, arena);
    case TransformId::kCmdLine:
      return cmd_line(input, arena);
    case TransformId::kCompressWhitespace:
      return compress_whitespace(input, arena);
    case TransformId::kCssDecode:
      return css_decode(input, arena);
    case TransformId::kEscapeSeqDecode:
      return escape_seq_decode(input, arena);
    case TransformId::kHexDecode:
      return hex_decode(input, arena);
    case TransformId::kHexEncode:
      return hex_encode(input, arena);
    case TransformId::kHtmlEntityDecode:
      return html_entity_decode(input, arena);
    case TransformId::kJsDecode:
      return js_decode(input, arena);
    case TransformId::kLength:
      return length(input, arena);
    case TransformId::kLowercase:
      return lowercase(input, arena);
    case TransformId::kMd5:
      return md5(input, arena);
    case TransformId::kNormalizePath:
      return normalize_path(input, arena);
    case TransformId::kNormalizePathWin:
      return normalize_path_win(input, arena);
    case TransformId::kParityEven7bit:
      return parity_even_7bit(input, arena);
    case TransformId::kParityOdd7bit:
      return parity_odd_7bit(input, arena);
    case TransformId::kParityZero7bit:
      return parity_zero_7bit(input, arena);
    case TransformId::kRemoveComments:
      return remove_comments(input, arena);
    case TransformId::kRemoveCommentsChar:
      return remove_comments_char(input, arena);
    case TransformId::kRemoveNulls:
      return remove_nulls(input, arena);
    case TransformId::kRemoveWhitespace:
      return remove_whitespace(input, arena);
    case TransformId::kReplaceComments:
      return replace_comments(input, arena);
    case TransformId::kReplaceNulls:
      return replace_nulls(input, arena);
    case TransformId::kSha1:
      return sha1(input, arena);
    case TransformId::kSqlHexDecode:
      return sql_hex_decode(input, arena);
    case TransformId::kTrim:
      return trim(input);
    case TransformId::kTrimLeft:
      return trim_left(input);
    case TransformId::kTrimRight:
      return trim_right(input);
    case TransformId::kUppercase:
      return uppercase(input, arena);
    case TransformId::kUrlDecode:
      return url_decode(input, arena);
    case TransformId::kUrlDecodeUni:
      return url_decode_uni(input, map, arena);
    case TransformId::kUrlEncode:
      return url_encode(input, arena);
    case TransformId::kUtf8ToUnicode:
      return utf8_to_unicode(input, arena);
    case TransformId::kCount:
      break;
  }
  SLUICE_CHECK(id == TransformId::kNone);  // the image check lets no other id through
  return unchanged(input);
}

std::size_t max_output(TransformId id, std::size_t n) {
  switch (id) {
    case TransformId::kBase64Encode:
      return (n + 2) / 3 * 4;
    case TransformId::kHexEncode:
      return 2 * n;
    case TransformId::kUrlEncode:
      return 3 * n;
    case TransformId::kUtf8ToUnicode:
      return 4 * n;  // worst: an overlong pair, "%u002f" and its lead byte
    case TransformId::kLength:
      return 20;
    case TransformId::kMd5:
      return 16;
    case TransformId::kSha1:
      return 20;
    case TransformId::kNone:
    case TransformId::kTrim:
    case TransformId::kTrimLeft:
    case TransformId::kTrimRight:
      return 0;  // never copies
    case TransformId::kNormalizePathWin:
      return 2 * n + 1 + kTransformSlack;  // both steps lie in the arena
    case TransformId::kNormalizePath:
    case TransformId::kRemoveComments:
      return n + 1;
    case TransformId::kBase64Decode:
    case TransformId::kBase64DecodeExt:
      return n / 4 * 3 + 3;
    case TransformId::kCmdLine:
    case TransformId::kCompressWhitespace:
    case TransformId::kCssDecode:
    case TransformId::kEscapeSeqDecode:
    case TransformId::kHexDecode:
    case TransformId::kHtmlEntityDecode:
    case TransformId::kJsDecode:
    case TransformId::kLowercase:
    case TransformId::kParityEven7bit:
    case TransformId::kParityOdd7bit:
    case TransformId::kParityZero7bit:
    case TransformId::kRemoveCommentsChar:
    case TransformId::kRemoveNulls:
    case TransformId::kRemoveWhitespace:
    case TransformId::kReplaceComments:
    case TransformId::kReplaceNulls:
    case TransformId::kSqlHexDecode:
    case TransformId::kUppercase:
    case TransformId::kUrlDecode:
    case TransformId::kUrlDecodeUni:
    case TransformId::kCount:
      return n;
  }
  return n;
}

namespace {

constexpr std::uint64_t kWhitespace =
    class_bit(ByteClass::kSpace) | class_bit(ByteClass::kOtherWhitespace);
constexpr std::uint64_t kLetters = (std::uint64_t{1} << 26) - 1;

constexpr std::uint64_t classes_for(TransformId id) {
  switch (id) {
    case TransformId::kNone:
      return 0;
    case TransformId::kLowercase:
      return class_bit(ByteClass::kUpper);
    case TransformId::kUppercase:
      return kLetters;
    case TransformId::kUrlDecode:
    case TransformId::kUrlDecodeUni:
      return classes_of_any("%+");
    case TransformId::kHtmlEntityDecode:
      return classes_of_any("&");
    case TransformId::kJsDecode:
    case TransformId::kCssDecode:
    case TransformId::kEscapeSeqDecode:
      return classes_of_any("\\");
    case TransformId::kUtf8ToUnicode:
      return class_bit(ByteClass::kHigh) | class_bit(ByteClass::kNul);
    case TransformId::kParityZero7bit:
      return class_bit(ByteClass::kHigh);
    case TransformId::kRemoveNulls:
    case TransformId::kReplaceNulls:
      return class_bit(ByteClass::kNul);
    case TransformId::kRemoveWhitespace:
      return kWhitespace | class_bit(ByteClass::kHigh);
    case TransformId::kCompressWhitespace:
    case TransformId::kTrim:
    case TransformId::kTrimLeft:
    case TransformId::kTrimRight:
      return kWhitespace;
    case TransformId::kCmdLine:
      return kWhitespace | classes_of_any("\"'\\^,;") | class_bit(ByteClass::kUpper);
    case TransformId::kReplaceComments:
      return classes_of_any("*");
    case TransformId::kRemoveComments:
      return classes_of_any("*-#");
    case TransformId::kRemoveCommentsChar:
      return classes_of_any("*-#");
    case TransformId::kNormalizePath:
      return classes_of_any("/.");
    case TransformId::kNormalizePathWin:
      return classes_of_any("/.\\");
    case TransformId::kSqlHexDecode:
      return classes_of_any("x");
    case TransformId::kUrlEncode:
      return ~(kLetters | class_bit(ByteClass::kUpper) | class_bit(ByteClass::kDigit) |
               classes_of_any("*"));
    case TransformId::kBase64Decode:
    case TransformId::kBase64DecodeExt:
    case TransformId::kBase64Encode:
    case TransformId::kHexDecode:
    case TransformId::kHexEncode:
    case TransformId::kLength:
    case TransformId::kMd5:
    case TransformId::kSha1:
    case TransformId::kParityEven7bit:
    case TransformId::kParityOdd7bit:
    case TransformId::kCount:
      return kChangesAlways;
  }
  return kChangesAlways;
}

/// Bytes that base64Decode knows, or at which the value ends.
constexpr std::uint64_t kBase64Classes = kLetters | kWhitespace | class_bit(ByteClass::kUpper) |
                                         class_bit(ByteClass::kDigit) | class_bit(ByteClass::kNul) |
                                         classes_of_any("+/=");

constexpr auto kChangeClasses = [] {
  std::array<std::uint64_t, abi::kTransformCount> table{};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = classes_for(static_cast<TransformId>(i));
  return table;
}();

}  // namespace

std::size_t longest_output(TransformId id, std::size_t n, std::uint64_t classes) {
  if (id != TransformId::kBase64Decode) return std::max(n, max_output(id, n));
  const bool ends_early = (classes & class_bit(ByteClass::kNul)) != 0;
  return (classes & ~kBase64Classes) != 0 && !ends_early ? 0 : n / 4 * 3;
}

std::uint64_t change_classes(TransformId id) {
  return kChangeClasses[static_cast<std::size_t>(id)];
}

}  // namespace sluice::rules
