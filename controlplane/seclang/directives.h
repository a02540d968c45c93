// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/abi/names.h"

namespace sluice::seclang {

enum class DirectiveSupport : std::uint8_t {
  kRuns,
  kMapped,   ///< onto something of ours; the note says what
  kNoted,    ///< accepted without effect; reported by name as a warning
  kRefused,  ///< an error; the note says why
};

inline constexpr std::uint8_t kAnyNumber = 255;

/// Every directive of ModSecurity 2 and 3, with how many values it takes.
// X(enumerator, name, values at least, values at most, support, note)
#define SLUICE_DIRECTIVES(X)                                                                       \
  X(kSecRule, "SecRule", 2, 3, kRuns, "")                                                          \
  X(kSecAction, "SecAction", 1, 1, kRuns, "")                                                      \
  X(kSecMarker, "SecMarker", 1, 1, kRuns, "")                                                      \
  X(kSecDefaultAction, "SecDefaultAction", 1, 1, kRuns, "")                                        \
  X(kSecRuleRemoveById, "SecRuleRemoveById", 1, kAnyNumber, kRuns, "")                             \
  X(kSecRuleRemoveByTag, "SecRuleRemoveByTag", 1, 1, kRuns, "")                                    \
  X(kSecRuleRemoveByMsg, "SecRuleRemoveByMsg", 1, 1, kRuns, "")                                    \
  X(kSecRuleUpdateTargetById, "SecRuleUpdateTargetById", 2, 3, kRuns, "")                          \
  X(kSecRuleUpdateTargetByTag, "SecRuleUpdateTargetByTag", 2, 3, kRuns, "")                        \
  X(kSecRuleUpdateTargetByMsg, "SecRuleUpdateTargetByMsg", 2, 3, kRuns, "")                        \
  X(kSecRuleUpdateActionById, "SecRuleUpdateActionById", 2, 2, kRuns, "")                          \
  X(kInclude, "Include", 1, 1, kRuns, "")                                                          \
  X(kIncludeOptional, "IncludeOptional", 1, 1, kRuns, "")                                          \
  X(kSecRuleEngine, "SecRuleEngine", 1, 1, kRuns, "")                                              \
  X(kSecRequestBodyAccess, "SecRequestBodyAccess", 1, 1, kRuns, "")                                \
  X(kSecRequestBodyLimit, "SecRequestBodyLimit", 1, 1, kRuns, "")                                  \
  X(kSecRequestBodyLimitAction, "SecRequestBodyLimitAction", 1, 1, kRuns, "")                      \
  X(kSecRequestBodyNoFilesLimit, "SecRequestBodyNoFilesLimit", 1, 1, kRuns, "")                    \
  X(kSecRequestBodyJsonDepthLimit, "SecRequestBodyJsonDepthLimit", 1, 1, kRuns, "")                \
  X(kSecArgumentsLimit, "SecArgumentsLimit", 1, 1, kRuns, "")                                      \
  X(kSecArgumentSeparator, "SecArgumentSeparator", 1, 1, kRuns, "")                                \
  X(kSecCookieFormat, "SecCookieFormat", 1, 1, kRuns, "")                                          \
  X(kSecResponseBodyAccess, "SecResponseBodyAccess", 1, 1, kRuns, "")                              \
  X(kSecResponseBodyLimit, "SecResponseBodyLimit", 1, 1, kRuns, "")                                \
  X(kSecResponseBodyLimitAction, "SecResponseBodyLimitAction", 1, 1, kRuns, "")                    \
  X(kSecResponseBodyMimeType, "SecResponseBodyMimeType", 1, kAnyNumber, kRuns, "")                 \
  X(kSecResponseBodyMimeTypesClear, "SecResponseBodyMimeTypesClear", 0, 0, kRuns, "")              \
  X(kSecCollectionTimeout, "SecCollectionTimeout", 1, 1, kRuns, "")                                \
  X(kSecComponentSignature, "SecComponentSignature", 1, 1, kMapped,                                \
    "records name the rule and its generation, whose sources hold the signature")                  \
  X(kSecUnicodeMapFile, "SecUnicodeMapFile", 1, 2, kRuns, "")                                      \
  X(kSecUnicodeCodePage, "SecUnicodeCodePage", 1, 1, kRuns, "")                                    \
  X(kSecWebAppId, "SecWebAppId", 1, 1, kRuns, "")                                                  \
  X(kSecGeoLookupDb, "SecGeoLookupDb", 1, 1, kRuns, "")                                            \
  X(kSecPcreMatchLimit, "SecPcreMatchLimit", 1, 1, kMapped,                                        \
    "ours are fixed and fail closed; ModSecurity 3.0.9 ignores it too")                            \
  X(kSecPcreMatchLimitRecursion, "SecPcreMatchLimitRecursion", 1, 1, kMapped,                      \
    "the reference ignores it too; ours is fixed")                                                 \
  X(kSecXmlExternalEntity, "SecXmlExternalEntity", 1, 1, kMapped,                                  \
    "Off is all there is: external entities are never read")                                       \
  X(kSecParseXmlIntoArgs, "SecParseXmlIntoArgs", 1, 1, kMapped,                                    \
    "Off (its default) is all there is: rules see XML in XML:/*, //@* and //text()")               \
  X(kSecAuditEngine, "SecAuditEngine", 1, 1, kMapped, "events: http_records of sluice.yaml")       \
  X(kSecAuditLog, "SecAuditLog", 1, 1, kMapped, "events go to eve.json")                           \
  X(kSecAuditLog2, "SecAuditLog2", 1, 1, kMapped, "events go to eve.json")                         \
  X(kSecAuditLogDirMode, "SecAuditLogDirMode", 1, 1, kMapped, "events go to eve.json")             \
  X(kSecAuditLogFileMode, "SecAuditLogFileMode", 1, 1, kMapped, "events go to eve.json")           \
  X(kSecAuditLogFormat, "SecAuditLogFormat", 1, 1, kMapped, "events are JSON")                     \
  X(kSecAuditLogParts, "SecAuditLogParts", 1, 1, kMapped, "events: of sluice.yaml")                \
  X(kSecAuditLogPrefix, "SecAuditLogPrefix", 1, 1, kMapped, "events go to eve.json")               \
  X(kSecAuditLogRelevantStatus, "SecAuditLogRelevantStatus", 1, 1, kMapped,                        \
    "events: http_records of sluice.yaml")                                                         \
  X(kSecAuditLogStorageDir, "SecAuditLogStorageDir", 1, 1, kMapped, "events go to eve.json")       \
  X(kSecAuditLogType, "SecAuditLogType", 1, 1, kMapped, "events go to eve.json")                   \
  X(kSecRequestBodyInMemoryLimit, "SecRequestBodyInMemoryLimit", 1, 1, kMapped,                    \
    "the reference ignores it too: bodies are judged as they pass")                                \
  X(kSecTmpDir, "SecTmpDir", 1, 1, kMapped, "nothing is stored")                                   \
  X(kSecDataDir, "SecDataDir", 1, 1, kMapped, "collections lie in shared memory")                  \
  X(kSecStatusEngine, "SecStatusEngine", 1, 1, kMapped, "nobody is told: see sluicectl status")    \
  X(kSecDebugLog, "SecDebugLog", 1, 1, kNoted, "there is no debug log; see sluicectl explain")     \
  X(kSecDebugLogLevel, "SecDebugLogLevel", 1, 1, kNoted,                                           \
    "there is no debug log; see sluicectl explain")                                                \
  X(kSecTmpSaveUploadedFiles, "SecTmpSaveUploadedFiles", 1, 1, kNoted, "no upload is stored")      \
  X(kSecUploadDir, "SecUploadDir", 1, 1, kNoted, "no upload is stored")                            \
  X(kSecUploadFileLimit, "SecUploadFileLimit", 1, 1, kNoted,                                       \
    "files are judged as they pass; the values of a request are bounded (http_args)")              \
  X(kSecUploadFileMode, "SecUploadFileMode", 1, 1, kNoted, "no upload is stored")                  \
  X(kSecUploadKeepFiles, "SecUploadKeepFiles", 1, 1, kNoted, "no upload is stored")                \
  X(kSecChrootDir, "SecChrootDir", 1, 1, kNoted, "there is no server process here")                \
  X(kSecServerSignature, "SecServerSignature", 1, 1, kNoted, "responses are never rewritten")      \
  X(kSecSensorId, "SecSensorId", 1, 1, kNoted, "events carry the instance's name")                 \
  X(kSecGuardianLog, "SecGuardianLog", 1, kAnyNumber, kNoted, "events go to eve.json")             \
  X(kSecHttpBlKey, "SecHttpBlKey", 1, 1, kNoted, "@rbl never matches here")                        \
  X(kSecRulePerfTime, "SecRulePerfTime", 1, 1, kNoted, "see sluicectl rules cost")                 \
  X(kSecCacheTransformations, "SecCacheTransformations", 1, kAnyNumber, kNoted,                    \
    "each is computed once per value")                                                             \
  X(kSecRuleInheritance, "SecRuleInheritance", 1, 1, kNoted, "there is one context")               \
  X(kSecDisableBackendCompression, "SecDisableBackendCompression", 1, 1, kNoted,                   \
    "requests are never rewritten; compressed bodies are decoded for inspection")                  \
  X(kSecCookieV0Separator, "SecCookieV0Separator", 1, 1, kNoted, "cookies are split at ;")         \
  X(kSecStreamInBodyInspection, "SecStreamInBodyInspection", 1, 1, kNoted,                         \
    "bodies are always inspected as they pass")                                                    \
  X(kSecStreamOutBodyInspection, "SecStreamOutBodyInspection", 1, 1, kNoted,                       \
    "bodies are always inspected as they pass")                                                    \
  X(kSecInterceptOnError, "SecInterceptOnError", 1, 1, kNoted, "limits always fail closed")        \
  X(kSecRequestEncoding, "SecRequestEncoding", 1, 1, kNoted, "values are bytes")                   \
  X(kSecIgnoreRuleCompilationErrors, "SecIgnoreRuleCompilationErrors", 1, 1, kRefused,             \
    "a rule set with errors is never loaded")                                                      \
  X(kSecRuleScript, "SecRuleScript", 1, kAnyNumber, kRefused,                                      \
    "runs a program: not possible on a network appliance")                                         \
  X(kSecRemoteRules, "SecRemoteRules", 1, kAnyNumber, kRefused,                                    \
    "rules come from files and signed bundles (sluicectl bundle)")                                 \
  X(kSecRemoteRulesFailAction, "SecRemoteRulesFailAction", 1, 1, kNoted,                           \
    "there are no remote rules")                                                                   \
  X(kSecContentInjection, "SecContentInjection", 1, 1, kRefused, "responses are never rewritten")  \
  X(kSecConnEngine, "SecConnEngine", 1, 1, kRefused, "use limits: in policy.yaml")                 \
  X(kSecConnReadStateLimit, "SecConnReadStateLimit", 1, 2, kRefused, "use limits: in policy.yaml") \
  X(kSecConnWriteStateLimit, "SecConnWriteStateLimit", 1, 2, kRefused,                             \
    "use limits: in policy.yaml")                                                                  \
  X(kSecReadStateLimit, "SecReadStateLimit", 1, 2, kRefused, "use limits: in policy.yaml")         \
  X(kSecWriteStateLimit, "SecWriteStateLimit", 1, 2, kRefused, "use limits: in policy.yaml")       \
  X(kSecGsbLookupDb, "SecGsbLookupDb", 1, 1, kRefused, "the reference has no @gsbLookup either")   \
  X(kSecHashEngine, "SecHashEngine", 1, 1, kRefused, "responses are never rewritten")              \
  X(kSecHashKey, "SecHashKey", 1, 2, kRefused, "responses are never rewritten")                    \
  X(kSecHashParam, "SecHashParam", 1, 1, kRefused, "responses are never rewritten")                \
  X(kSecHashMethodRx, "SecHashMethodRx", 1, 2, kRefused, "responses are never rewritten")          \
  X(kSecHashMethodPm, "SecHashMethodPm", 1, 2, kRefused, "responses are never rewritten")          \
  X(kSecPdfProtect, "SecPdfProtect", 1, 1, kRefused, "responses are never rewritten")              \
  X(kSecPdfProtectMethod, "SecPdfProtectMethod", 1, 1, kRefused, "responses are never rewritten")  \
  X(kSecPdfProtectSecret, "SecPdfProtectSecret", 1, 1, kRefused, "responses are never rewritten")  \
  X(kSecPdfProtectTimeout, "SecPdfProtectTimeout", 1, 1, kRefused,                                 \
    "responses are never rewritten")                                                               \
  X(kSecPdfProtectTokenName, "SecPdfProtectTokenName", 1, 1, kRefused,                             \
    "responses are never rewritten")

enum class DirectiveId : std::uint8_t {
#define SLUICE_X(enumerator, name, least, most, support, note) enumerator,
  SLUICE_DIRECTIVES(SLUICE_X)
#undef SLUICE_X
      kCount
};

inline constexpr std::size_t kDirectiveCount = static_cast<std::size_t>(DirectiveId::kCount);

struct DirectiveInfo {
  std::string_view name;
  std::uint8_t values_min, values_max;
  DirectiveSupport support;
  std::string_view note;
};

inline constexpr std::array<DirectiveInfo, kDirectiveCount> kDirectives = {{
#define SLUICE_X(enumerator, name, least, most, support, note) \
  DirectiveInfo{name, least, most, DirectiveSupport::support, note},
    SLUICE_DIRECTIVES(SLUICE_X)
#undef SLUICE_X
}};

constexpr const DirectiveInfo& directive_info(DirectiveId id) {
  return kDirectives[static_cast<std::size_t>(id)];
}

/// By name, without case. O(table).
constexpr std::optional<DirectiveId> find_directive(std::string_view name) {
  for (std::size_t i = 0; i < kDirectiveCount; ++i) {
    if (abi::equal_ignoring_case(name, kDirectives[i].name)) return static_cast<DirectiveId>(i);
  }
  return std::nullopt;
}

}  // namespace sluice::seclang
