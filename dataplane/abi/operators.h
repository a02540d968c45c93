// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/abi/names.h"

namespace sluice::abi {

/// What the text behind an operator's name is, and so how the compiler stores it.
enum class OperatorArgument : std::uint8_t {
  kNothing,   ///< the operator takes no argument; text behind it is ignored
  kText,      ///< bytes compared with the value
  kNumber,    ///< a decimal number
  kRegex,     ///< a PCRE pattern
  kPhrases,   ///< phrases separated by white space
  kFile,      ///< the name of a file, read at compile time
  kNetworks,  ///< addresses and prefixes separated by commas
  kRanges,    ///< byte numbers and ranges separated by commas
  kOther,     ///< anything; the operator is not run
};

/// What the compiler does with a rule that names the operator.
enum class OperatorSupport : std::uint8_t {
  kRuns,          ///< evaluated
  kNeverMatches,  ///< accepted and noted by name at load; the operator never matches
  kRefused,       ///< a load error with a reason
};

/// The operators of SecLang: numbers are stored in ruleset images, names and aliases are what rules
/// write (compared without case). `macro`: the argument is expanded at each evaluation when it
/// holds %{...}. Append only.
// X(enumerator, name, alias, argument, support, macro)
#define SLUICE_OPERATORS(X)                                                    \
  X(kRx, "rx", "", kRegex, kRuns, true)                                        \
  X(kRxGlobal, "rxGlobal", "", kRegex, kRuns, true)                            \
  X(kStreq, "streq", "", kText, kRuns, true)                                   \
  X(kContains, "contains", "", kText, kRuns, true)                             \
  X(kContainsWord, "containsWord", "", kText, kRuns, true)                     \
  X(kBeginsWith, "beginsWith", "", kText, kRuns, true)                         \
  X(kEndsWith, "endsWith", "", kText, kRuns, true)                             \
  X(kWithin, "within", "", kText, kRuns, true)                                 \
  X(kStrmatch, "strmatch", "", kText, kRuns, true)                             \
  X(kEq, "eq", "", kNumber, kRuns, true)                                       \
  X(kGe, "ge", "", kNumber, kRuns, true)                                       \
  X(kGt, "gt", "", kNumber, kRuns, true)                                       \
  X(kLe, "le", "", kNumber, kRuns, true)                                       \
  X(kLt, "lt", "", kNumber, kRuns, true)                                       \
  X(kPm, "pm", "", kPhrases, kRuns, false)                                     \
  X(kPmFromFile, "pmFromFile", "pmf", kFile, kRuns, false)                     \
  X(kIpMatch, "ipMatch", "", kNetworks, kRuns, false)                          \
  X(kIpMatchFromFile, "ipMatchFromFile", "ipMatchF", kFile, kRuns, false)      \
  X(kValidateByteRange, "validateByteRange", "", kRanges, kRuns, false)        \
  X(kValidateUrlEncoding, "validateUrlEncoding", "", kNothing, kRuns, false)   \
  X(kValidateUtf8Encoding, "validateUtf8Encoding", "", kNothing, kRuns, false) \
  X(kDetectSqli, "detectSQLi", "", kNothing, kRuns, false)                     \
  X(kDetectXss, "detectXSS", "", kNothing, kRuns, false)                       \
  X(kVerifyCc, "verifyCC", "", kRegex, kRuns, false)                           \
  X(kVerifySsn, "verifySSN", "", kRegex, kRuns, false)                         \
  X(kVerifyCpf, "verifyCPF", "", kRegex, kRuns, false)                         \
  X(kVerifySvnr, "verifySVNR", "", kRegex, kRuns, false)                       \
  X(kUnconditionalMatch, "unconditionalMatch", "", kNothing, kRuns, false)     \
  X(kNoMatch, "noMatch", "", kNothing, kRuns, false)                           \
  X(kGeoLookup, "geoLookup", "", kNothing, kRuns, false)                       \
  X(kRbl, "rbl", "", kOther, kNeverMatches, false)                             \
  X(kFuzzyHash, "fuzzyHash", "", kOther, kNeverMatches, false)                 \
  X(kInspectFile, "inspectFile", "", kOther, kRefused, false)                  \
  X(kValidateSchema, "validateSchema", "", kOther, kRefused, false)            \
  X(kValidateDtd, "validateDTD", "", kOther, kRefused, false)                  \
  X(kRsub, "rsub", "", kOther, kRefused, false)                                \
  X(kGsbLookup, "gsbLookup", "", kOther, kRefused, false)                      \
  X(kValidateHash, "validateHash", "", kOther, kRefused, false)

enum class OperatorId : std::uint8_t {
#define SLUICE_X(enumerator, name, alias, argument, support, macro) enumerator,
  SLUICE_OPERATORS(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kOperatorCount = static_cast<std::size_t>(OperatorId::kCount);

struct OperatorInfo {
  std::string_view name, alias;  ///< alias: empty if there is none
  OperatorArgument argument;
  OperatorSupport support;
  bool macro;
};

inline constexpr std::array<OperatorInfo, kOperatorCount> kOperators = {{
#define SLUICE_X(enumerator, name, alias, argument, support, macro) \
  OperatorInfo{name, alias, OperatorArgument::argument, OperatorSupport::support, macro},
    SLUICE_OPERATORS(SLUICE_X)
#undef SLUICE_X
}};

constexpr const OperatorInfo& operator_info(OperatorId id) {
  return kOperators[static_cast<std::size_t>(id)];
}

/// The operator that a rule names, without case, by name or alias. O(table).
constexpr std::optional<OperatorId> find_operator(std::string_view name) {
  for (std::size_t i = 0; i < kOperatorCount; ++i) {
    if (equal_ignoring_case(name, kOperators[i].name) ||
        (!kOperators[i].alias.empty() && equal_ignoring_case(name, kOperators[i].alias))) {
      return static_cast<OperatorId>(i);
    }
  }
  return std::nullopt;
}

/// Why a refused operator is refused, for the load error; empty for the others.
constexpr std::string_view operator_refusal(OperatorId id) {
  if (id == OperatorId::kInspectFile) {
    return "runs a program on the value: not possible on a network appliance";
  }
  if (id == OperatorId::kValidateSchema || id == OperatorId::kValidateDtd) {
    return "validates a whole XML tree, which is never built: bodies are judged as they stream";
  }
  if (id == OperatorId::kRsub) return "changes the body: traffic is judged here, never rewritten";
  if (id == OperatorId::kGsbLookup || id == OperatorId::kValidateHash) {
    return "not supported by ModSecurity v3 either";
  }
  return {};
}

}  // namespace sluice::abi
