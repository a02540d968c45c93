// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/abi/names.h"

/// The transformations of SecLang: numbers are stored in ruleset images, names and aliases are what
/// rules write (compared without case). Append only.
// X(enumerator, name, alias)
#define SLUICE_TRANSFORMS(X)                                   \
  X(kNone, "none", "")                                         \
  X(kBase64Decode, "base64Decode", "")                         \
  X(kBase64DecodeExt, "base64DecodeExt", "")                   \
  X(kBase64Encode, "base64Encode", "")                         \
  X(kCmdLine, "cmdLine", "")                                   \
  X(kCompressWhitespace, "compressWhitespace", "")             \
  X(kCssDecode, "cssDecode", "")                               \
  X(kEscapeSeqDecode, "escapeSeqDecode", "")                   \
  X(kHexDecode, "hexDecode", "")                               \
  X(kHexEncode, "hexEncode", "")                               \
  X(kHtmlEntityDecode, "htmlEntityDecode", "")                 \
  X(kJsDecode, "jsDecode", "")                                 \
  X(kLength, "length", "")                                     \
  X(kLowercase, "lowercase", "")                               \
  X(kMd5, "md5", "")                                           \
  X(kNormalizePath, "normalizePath", "normalisePath")          \
  X(kNormalizePathWin, "normalizePathWin", "normalisePathWin") \
  X(kParityEven7bit, "parityEven7bit", "")                     \
  X(kParityOdd7bit, "parityOdd7bit", "")                       \
  X(kParityZero7bit, "parityZero7bit", "")                     \
  X(kRemoveComments, "removeComments", "")                     \
  X(kRemoveCommentsChar, "removeCommentsChar", "")             \
  X(kRemoveNulls, "removeNulls", "")                           \
  X(kRemoveWhitespace, "removeWhitespace", "")                 \
  X(kReplaceComments, "replaceComments", "")                   \
  X(kReplaceNulls, "replaceNulls", "")                         \
  X(kSha1, "sha1", "")                                         \
  X(kSqlHexDecode, "sqlHexDecode", "")                         \
  X(kTrim, "trim", "")                                         \
  X(kTrimLeft, "trimLeft", "")                                 \
  X(kTrimRight, "trimRight", "")                               \
  X(kUppercase, "uppercase", "")                               \
  X(kUrlDecode, "urlDecode", "")                               \
  X(kUrlDecodeUni, "urlDecodeUni", "")                         \
  X(kUrlEncode, "urlEncode", "")                               \
  X(kUtf8ToUnicode, "utf8toUnicode", "")

namespace sluice::abi {

enum class TransformId : std::uint8_t {
#define SLUICE_X(enumerator, name, alias) enumerator,
  SLUICE_TRANSFORMS(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kTransformCount = static_cast<std::size_t>(TransformId::kCount);

struct TransformName {
  std::string_view name, alias;  ///< alias: empty if there is none
};

inline constexpr std::array<TransformName, kTransformCount> kTransformNames = {{
#define SLUICE_X(enumerator, name, alias) TransformName{name, alias},
    SLUICE_TRANSFORMS(SLUICE_X)
#undef SLUICE_X
}};

constexpr std::string_view transform_name(TransformId id) {
  const auto index = static_cast<std::size_t>(id);
  return index < kTransformCount ? kTransformNames[index].name : std::string_view("unknown");
}

/// The transformation that a rule names, without case, by name or alias. O(table).
constexpr std::optional<TransformId> find_transform(std::string_view name) {
  for (std::size_t i = 0; i < kTransformCount; ++i) {
    if (equal_ignoring_case(name, kTransformNames[i].name) ||
        (!kTransformNames[i].alias.empty() &&
         equal_ignoring_case(name, kTransformNames[i].alias))) {
      return static_cast<TransformId>(i);
    }
  }
  return std::nullopt;
}

/// What `SecUnicodeMapFile` gives urlDecodeUni: the byte for a code point below 65536, or
/// kUnmapped, where the low byte is used instead. Lies in the ruleset image.
struct UnicodeMap {
  static constexpr std::int16_t kUnmapped = -1;
  std::int16_t codes[65536];
};

}  // namespace sluice::abi
