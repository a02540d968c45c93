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

/// How many values a variable has and what a selector behind it means.
enum class VariableKind : std::uint8_t {
  kScalar,      ///< always one value, the empty string until it is set; no selector
  kAbsent,      ///< a scalar that has no value at all until it is set; no selector
  kCollection,  ///< members of the transaction; a selector names keys, without case
  kStore,       ///< TX: members that rules write
  kPersistent,  ///< members that rules write and that outlive the transaction, by initcol's key
  kTree,        ///< XML: the selector is an XPath expression
};

/// What the compiler does with a rule that names the variable.
enum class VariableSupport : std::uint8_t {
  kRuns,     ///< as the reference has it
  kMapped,   ///< accepted; its value is fixed or comes from something of ours (variable_note)
  kRefused,  ///< a load error with a reason (variable_note)
};

/// The variables of SecLang: numbers are stored in ruleset images, names are what rules write
/// (compared without case). `phase`: the first in which it can have its final value. Append only.
// X(enumerator, name, kind, phase, support)
#define SLUICE_VARIABLES(X)                                                                \
  X(kArgs, "ARGS", kCollection, 1, kRuns)                                                  \
  X(kArgsCombinedSize, "ARGS_COMBINED_SIZE", kScalar, 2, kRuns)                            \
  X(kArgsGet, "ARGS_GET", kCollection, 1, kRuns)                                           \
  X(kArgsGetNames, "ARGS_GET_NAMES", kCollection, 1, kRuns)                                \
  X(kArgsNames, "ARGS_NAMES", kCollection, 1, kRuns)                                       \
  X(kArgsPost, "ARGS_POST", kCollection, 2, kRuns)                                         \
  X(kArgsPostNames, "ARGS_POST_NAMES", kCollection, 2, kRuns)                              \
  X(kAuthType, "AUTH_TYPE", kScalar, 1, kRuns)                                             \
  X(kDuration, "DURATION", kScalar, 1, kRuns)                                              \
  X(kEnv, "ENV", kCollection, 1, kRefused)                                                 \
  X(kFiles, "FILES", kCollection, 2, kRuns)                                                \
  X(kFilesCombinedSize, "FILES_COMBINED_SIZE", kScalar, 2, kRuns)                          \
  X(kFilesNames, "FILES_NAMES", kCollection, 2, kRuns)                                     \
  X(kFilesSizes, "FILES_SIZES", kCollection, 2, kRuns)                                     \
  X(kFilesTmpNames, "FILES_TMPNAMES", kCollection, 2, kMapped)                             \
  X(kFilesTmpContent, "FILES_TMP_CONTENT", kCollection, 2, kRuns)                          \
  X(kFullRequest, "FULL_REQUEST", kScalar, 2, kRuns)                                       \
  X(kFullRequestLength, "FULL_REQUEST_LENGTH", kScalar, 2, kRuns)                          \
  X(kGeo, "GEO", kCollection, 1, kRuns)                                                    \
  X(kGlobal, "GLOBAL", kPersistent, 1, kRuns)                                              \
  X(kHighestSeverity, "HIGHEST_SEVERITY", kScalar, 1, kRuns)                               \
  X(kInboundDataError, "INBOUND_DATA_ERROR", kScalar, 2, kRuns)                            \
  X(kIp, "IP", kPersistent, 1, kRuns)                                                      \
  X(kMatchedVar, "MATCHED_VAR", kScalar, 1, kRuns)                                         \
  X(kMatchedVars, "MATCHED_VARS", kCollection, 1, kRuns)                                   \
  X(kMatchedVarName, "MATCHED_VAR_NAME", kScalar, 1, kRuns)                                \
  X(kMatchedVarsNames, "MATCHED_VARS_NAMES", kCollection, 1, kRuns)                        \
  X(kModsecBuild, "MODSEC_BUILD", kScalar, 1, kMapped)                                     \
  X(kMscPcreError, "MSC_PCRE_ERROR", kScalar, 1, kMapped)                                  \
  X(kMscPcreLimitsExceeded, "MSC_PCRE_LIMITS_EXCEEDED", kScalar, 1, kMapped)               \
  X(kMultipartBoundaryQuoted, "MULTIPART_BOUNDARY_QUOTED", kScalar, 2, kRuns)              \
  X(kMultipartBoundaryWhitespace, "MULTIPART_BOUNDARY_WHITESPACE", kScalar, 2, kRuns)      \
  X(kMultipartCrlfLfLines, "MULTIPART_CRLF_LF_LINES", kScalar, 2, kRuns)                   \
  X(kMultipartDataAfter, "MULTIPART_DATA_AFTER", kScalar, 2, kRuns)                        \
  X(kMultipartDataBefore, "MULTIPART_DATA_BEFORE", kScalar, 2, kRuns)                      \
  X(kMultipartFileLimitExceeded, "MULTIPART_FILE_LIMIT_EXCEEDED", kScalar, 2, kRuns)       \
  X(kMultipartFilename, "MULTIPART_FILENAME", kCollection, 2, kRuns)                       \
  X(kMultipartHeaderFolding, "MULTIPART_HEADER_FOLDING", kScalar, 2, kRuns)                \
  X(kMultipartInvalidHeaderFolding, "MULTIPART_INVALID_HEADER_FOLDING", kScalar, 2, kRuns) \
  X(kMultipartInvalidPart, "MULTIPART_INVALID_PART", kScalar, 2, kRuns)                    \
  X(kMultipartInvalidQuoting, "MULTIPART_INVALID_QUOTING", kScalar, 2, kRuns)              \
  X(kMultipartLfLine, "MULTIPART_LF_LINE", kScalar, 2, kRuns)                              \
  X(kMultipartMissingSemicolon, "MULTIPART_MISSING_SEMICOLON", kScalar, 2, kRuns)          \
  X(kMultipartName, "MULTIPART_NAME", kCollection, 2, kRuns)                               \
  X(kMultipartPartHeaders, "MULTIPART_PART_HEADERS", kCollection, 2, kRuns)                \
  X(kMultipartStrictError, "MULTIPART_STRICT_ERROR", kScalar, 2, kRuns)                    \
  X(kMultipartUnmatchedBoundary, "MULTIPART_UNMATCHED_BOUNDARY", kScalar, 2, kRuns)        \
  X(kOutboundDataError, "OUTBOUND_DATA_ERROR", kScalar, 4, kRuns)                          \
  X(kPathInfo, "PATH_INFO", kScalar, 1, kRuns)                                             \
  X(kQueryString, "QUERY_STRING", kScalar, 1, kRuns)                                       \
  X(kRemoteAddr, "REMOTE_ADDR", kScalar, 1, kRuns)                                         \
  X(kRemoteHost, "REMOTE_HOST", kScalar, 1, kMapped)                                       \
  X(kRemotePort, "REMOTE_PORT", kScalar, 1, kRuns)                                         \
  X(kRemoteUser, "REMOTE_USER", kAbsent, 1, kRuns)                                         \
  X(kReqbodyError, "REQBODY_ERROR", kScalar, 2, kRuns)                                     \
  X(kReqbodyErrorMsg, "REQBODY_ERROR_MSG", kScalar, 2, kRuns)                              \
  X(kReqbodyProcessor, "REQBODY_PROCESSOR", kScalar, 1, kRuns)                             \
  X(kReqbodyProcessorError, "REQBODY_PROCESSOR_ERROR", kScalar, 2, kRuns)                  \
  X(kReqbodyProcessorErrorMsg, "REQBODY_PROCESSOR_ERROR_MSG", kScalar, 2, kRuns)           \
  X(kRequestBasename, "REQUEST_BASENAME", kScalar, 1, kRuns)                               \
  X(kRequestBody, "REQUEST_BODY", kScalar, 2, kRuns)                                       \
  X(kRequestBodyLength, "REQUEST_BODY_LENGTH", kScalar, 2, kRuns)                          \
  X(kRequestCookies, "REQUEST_COOKIES", kCollection, 1, kRuns)                             \
  X(kRequestCookiesNames, "REQUEST_COOKIES_NAMES", kCollection, 1, kRuns)                  \
  X(kRequestFilename, "REQUEST_FILENAME", kScalar, 1, kRuns)                               \
  X(kRequestHeaders, "REQUEST_HEADERS", kCollection, 1, kRuns)                             \
  X(kRequestHeadersNames, "REQUEST_HEADERS_NAMES", kCollection, 1, kRuns)                  \
  X(kRequestLine, "REQUEST_LINE", kScalar, 1, kRuns)                                       \
  X(kRequestMethod, "REQUEST_METHOD", kScalar, 1, kRuns)                                   \
  X(kRequestProtocol, "REQUEST_PROTOCOL", kScalar, 1, kRuns)                               \
  X(kRequestUri, "REQUEST_URI", kScalar, 1, kRuns)                                         \
  X(kRequestUriRaw, "REQUEST_URI_RAW", kScalar, 1, kRuns)                                  \
  X(kResource, "RESOURCE", kPersistent, 1, kRuns)                                          \
  X(kResponseBody, "RESPONSE_BODY", kScalar, 4, kRuns)                                     \
  X(kResponseContentLength, "RESPONSE_CONTENT_LENGTH", kScalar, 4, kRuns)                  \
  X(kResponseContentType, "RESPONSE_CONTENT_TYPE", kScalar, 3, kRuns)                      \
  X(kResponseHeaders, "RESPONSE_HEADERS", kCollection, 3, kRuns)                           \
  X(kResponseHeadersNames, "RESPONSE_HEADERS_NAMES", kCollection, 3, kRuns)                \
  X(kResponseProtocol, "RESPONSE_PROTOCOL", kScalar, 3, kRuns)                             \
  X(kResponseStatus, "RESPONSE_STATUS", kScalar, 3, kRuns)                                 \
  X(kRule, "RULE", kCollection, 1, kRuns)                                                  \
  X(kServerAddr, "SERVER_ADDR", kScalar, 1, kRuns)                                         \
  X(kServerName, "SERVER_NAME", kScalar, 1, kRuns)                                         \
  X(kServerPort, "SERVER_PORT", kScalar, 1, kRuns)                                         \
  X(kSession, "SESSION", kPersistent, 1, kRuns)                                            \
  X(kSessionId, "SESSIONID", kScalar, 1, kRuns)                                            \
  X(kStatus, "STATUS", kScalar, 3, kMapped)                                                \
  X(kStatusLine, "STATUS_LINE", kScalar, 3, kRuns)                                         \
  X(kTime, "TIME", kScalar, 1, kRuns)                                                      \
  X(kTimeDay, "TIME_DAY", kScalar, 1, kRuns)                                               \
  X(kTimeEpoch, "TIME_EPOCH", kScalar, 1, kRuns)                                           \
  X(kTimeHour, "TIME_HOUR", kScalar, 1, kRuns)                                             \
  X(kTimeMin, "TIME_MIN", kScalar, 1, kRuns)                                               \
  X(kTimeMon, "TIME_MON", kScalar, 1, kRuns)                                               \
  X(kTimeSec, "TIME_SEC", kScalar, 1, kRuns)                                               \
  X(kTimeWday, "TIME_WDAY", kScalar, 1, kRuns)                                             \
  X(kTimeYear, "TIME_YEAR", kScalar, 1, kRuns)                                             \
  X(kTx, "TX", kStore, 1, kRuns)                                                           \
  X(kUniqueId, "UNIQUE_ID", kScalar, 1, kMapped)                                           \
  X(kUrlencodedError, "URLENCODED_ERROR", kScalar, 1, kRuns)                               \
  X(kUser, "USER", kPersistent, 1, kRuns)                                                  \
  X(kUserId, "USERID", kScalar, 1, kRuns)                                                  \
  X(kWebAppId, "WEBAPPID", kScalar, 1, kRuns)                                              \
  X(kXml, "XML", kTree, 2, kRuns)                                                          \
  X(kFilesStoredNames, "FILES_STORED_NAMES", kCollection, 2, kRefused)                     \
  X(kPerfAll, "PERF_ALL", kScalar, 5, kRefused)                                            \
  X(kPerfCombined, "PERF_COMBINED", kScalar, 5, kRefused)                                  \
  X(kPerfRules, "PERF_RULES", kCollection, 5, kRefused)                                    \
  X(kScriptBasename, "SCRIPT_BASENAME", kScalar, 1, kRefused)                              \
  X(kScriptFilename, "SCRIPT_FILENAME", kScalar, 1, kRefused)                              \
  X(kScriptGid, "SCRIPT_GID", kScalar, 1, kRefused)                                        \
  X(kScriptGroupname, "SCRIPT_GROUPNAME", kScalar, 1, kRefused)                            \
  X(kScriptMode, "SCRIPT_MODE", kScalar, 1, kRefused)                                      \
  X(kScriptUid, "SCRIPT_UID", kScalar, 1, kRefused)                                        \
  X(kScriptUsername, "SCRIPT_USERNAME", kScalar, 1, kRefused)                              \
  X(kSdbmDeleteError, "SDBM_DELETE_ERROR", kScalar, 1, kRefused)                           \
  X(kStreamInputBody, "STREAM_INPUT_BODY", kScalar, 2, kRefused)                           \
  X(kStreamOutputBody, "STREAM_OUTPUT_BODY", kScalar, 4, kRefused)                         \
  X(kUserAgentIp, "USERAGENT_IP", kScalar, 1, kMapped)                                     \
  X(kWebserverErrorLog, "WEBSERVER_ERROR_LOG", kScalar, 5, kRefused)

enum class VariableId : std::uint8_t {
#define SLUICE_X(enumerator, name, kind, phase, support) enumerator,
  SLUICE_VARIABLES(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kVariableCount = static_cast<std::size_t>(VariableId::kCount);
static_assert(kVariableCount <= 255);

struct VariableInfo {
  std::string_view name;  ///< upper case, as MATCHED_VAR_NAME shows it
  VariableKind kind;
  std::uint8_t phase;  ///< 1..5
  VariableSupport support;

  /// May a selector follow: COLLECTION:key?
  [[nodiscard]] constexpr bool has_members() const {
    return kind != VariableKind::kScalar && kind != VariableKind::kAbsent;
  }
};

inline constexpr std::array<VariableInfo, kVariableCount> kVariables = {{
#define SLUICE_X(enumerator, name, kind, phase, support) \
  VariableInfo{name, VariableKind::kind, phase, VariableSupport::support},
    SLUICE_VARIABLES(SLUICE_X)
#undef SLUICE_X
}};

constexpr const VariableInfo& variable_info(VariableId id) {
  return kVariables[static_cast<std::size_t>(id)];
}

/// The variable that a rule names, without case; the second spellings of the reference too.
/// O(table).
constexpr std::optional<VariableId> find_variable(std::string_view name) {
  if (equal_ignoring_case(name, "MULTIPART_SEMICOLON_MISSING"))
    return VariableId::kMultipartMissingSemicolon;
  for (std::size_t i = 0; i < kVariableCount; ++i) {
    if (equal_ignoring_case(name, kVariables[i].name)) return static_cast<VariableId>(i);
  }
  return std::nullopt;
}

/// What a mapped variable is here, or why a refused one is refused; empty for the others.
constexpr std::string_view variable_note(VariableId id) {
  if (variable_info(id).support == VariableSupport::kRuns) return {};
  if (id == VariableId::kEnv) return "the environment of a process says nothing about traffic";
  if (id == VariableId::kFilesTmpNames || id == VariableId::kFilesStoredNames) {
    return "uploaded files are judged as they pass and never stored";
  }
  if (id == VariableId::kModsecBuild) return "always 030009100, the reference's number";
  if (id == VariableId::kMscPcreError || id == VariableId::kMscPcreLimitsExceeded) {
    return "always 0: a regex that reaches its limits fails the request closed (rule_budget)";
  }
  if (id == VariableId::kRemoteHost || id == VariableId::kUserAgentIp) {
    return "the client's address: no name is looked up";
  }
  if (id == VariableId::kStatus) return "the status of the response";
  if (id == VariableId::kUniqueId) return "the event id";
  if (id == VariableId::kWebserverErrorLog) return "there is no web server here";
  if (id >= VariableId::kPerfAll && id <= VariableId::kPerfRules) {
    return "see sluicectl rules cost";
  }
  if (id >= VariableId::kScriptBasename && id <= VariableId::kScriptUsername) {
    return "there is no script here";
  }
  return "not supported by ModSecurity v3 either";
}

}  // namespace sluice::abi
