#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The coverage tables of docs/seclang.md are those of the compiler: every directive, variable,
operator, transformation, action and ctl with its support and its note; and they miss no name of
the ModSecurity v3 reference manual. Prints what differs; `--write` prints the tables, for
pasting."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUPPORT = {"kRuns": "supported", "kMapped": "mapped", "kNoted": "noted", "kRefused": "refused",
           "kNeverMatches": "never matches"}

# The headings of the reference manual (v3.x).
MANUAL = {
    "directive": """
SecAction SecArgumentSeparator SecArgumentsLimit SecAuditEngine SecAuditLog SecAuditLog2
SecAuditLogDirMode SecAuditLogFormat SecAuditLogFileMode SecAuditLogParts SecAuditLogPrefix
SecAuditLogRelevantStatus SecAuditLogStorageDir SecAuditLogType SecCacheTransformations SecChrootDir
SecCollectionTimeout SecComponentSignature SecConnEngine SecContentInjection SecCookieFormat
SecCookieV0Separator SecDataDir SecDebugLog SecDebugLogLevel SecDefaultAction
SecDisableBackendCompression SecGeoLookupDb SecGsbLookupDb SecGuardianLog SecHashEngine SecHashKey
SecHashParam SecHashMethodRx SecHashMethodPm SecHttpBlKey SecInterceptOnError SecMarker
SecPcreMatchLimit SecPcreMatchLimitRecursion SecPdfProtect SecPdfProtectMethod SecPdfProtectSecret
SecPdfProtectTimeout SecPdfProtectTokenName SecReadStateLimit SecConnReadStateLimit SecSensorId
SecWriteStateLimit SecConnWriteStateLimit SecRemoteRules SecRemoteRulesFailAction
SecRequestBodyAccess SecRequestBodyInMemoryLimit SecRequestBodyJsonDepthLimit SecRequestBodyLimit
SecRequestBodyNoFilesLimit SecRequestBodyLimitAction SecResponseBodyLimit SecResponseBodyLimitAction
SecResponseBodyMimeType SecResponseBodyMimeTypesClear SecResponseBodyAccess SecRule SecRuleEngine
SecRuleInheritance SecRulePerfTime SecRuleRemoveById SecRuleRemoveByMsg SecRuleRemoveByTag
SecRuleScript SecRuleUpdateActionById SecRuleUpdateTargetById SecRuleUpdateTargetByMsg
SecRuleUpdateTargetByTag SecServerSignature SecStatusEngine SecStreamInBodyInspection
SecStreamOutBodyInspection SecTmpDir SecTmpSaveUploadedFiles SecUnicodeMapFile SecUnicodeCodePage
SecUploadDir SecUploadFileLimit SecUploadFileMode SecUploadKeepFiles SecWebAppId
SecXmlExternalEntity SecParseXmlIntoArgs Include""",
    "variable": """
ARGS ARGS_COMBINED_SIZE ARGS_GET ARGS_GET_NAMES ARGS_NAMES ARGS_POST ARGS_POST_NAMES AUTH_TYPE
DURATION ENV FILES FILES_COMBINED_SIZE FILES_NAMES FULL_REQUEST FULL_REQUEST_LENGTH FILES_SIZES
FILES_TMPNAMES FILES_TMP_CONTENT GEO GLOBAL HIGHEST_SEVERITY INBOUND_DATA_ERROR IP MATCHED_VAR
MATCHED_VARS MATCHED_VAR_NAME MATCHED_VARS_NAMES MODSEC_BUILD MSC_PCRE_ERROR
MSC_PCRE_LIMITS_EXCEEDED MULTIPART_CRLF_LF_LINES MULTIPART_FILENAME MULTIPART_NAME
MULTIPART_PART_HEADERS MULTIPART_STRICT_ERROR MULTIPART_UNMATCHED_BOUNDARY OUTBOUND_DATA_ERROR
PATH_INFO PERF_ALL PERF_COMBINED PERF_RULES QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_PORT
REMOTE_USER REQBODY_ERROR REQBODY_ERROR_MSG REQBODY_PROCESSOR REQUEST_BASENAME REQUEST_BODY
REQUEST_BODY_LENGTH REQUEST_COOKIES REQUEST_COOKIES_NAMES REQUEST_FILENAME REQUEST_HEADERS
REQUEST_HEADERS_NAMES REQUEST_LINE REQUEST_METHOD REQUEST_PROTOCOL REQUEST_URI REQUEST_URI_RAW
RESOURCE RESPONSE_BODY RESPONSE_CONTENT_LENGTH RESPONSE_CONTENT_TYPE RESPONSE_HEADERS
RESPONSE_HEADERS_NAMES RESPONSE_PROTOCOL RESPONSE_STATUS RULE SCRIPT_BASENAME SCRIPT_FILENAME
SCRIPT_GID SCRIPT_GROUPNAME SCRIPT_MODE SCRIPT_UID SCRIPT_USERNAME SDBM_DELETE_ERROR SERVER_ADDR
SERVER_NAME SERVER_PORT SESSION SESSIONID STATUS STATUS_LINE STREAM_INPUT_BODY STREAM_OUTPUT_BODY
TIME TIME_DAY TIME_EPOCH TIME_HOUR TIME_MIN TIME_MON TIME_SEC TIME_WDAY TIME_YEAR TX UNIQUE_ID
URLENCODED_ERROR USER USERAGENT_IP USERID WEBAPPID WEBSERVER_ERROR_LOG XML""",
    "operator": """
beginsWith contains containsWord detectSQLi detectXSS endsWith fuzzyHash eq ge geoLookup gsbLookup
gt inspectFile ipMatch ipMatchF ipMatchFromFile le lt noMatch pm pmf pmFromFile rbl rsub rx rxGlobal
streq strmatch unconditionalMatch validateByteRange validateDTD validateHash validateSchema
validateUrlEncoding validateUtf8Encoding verifyCC verifyCPF verifySSN verifySVNR within""",
    "transformation": """
base64Decode sqlHexDecode base64DecodeExt base64Encode cmdLine compressWhitespace cssDecode
escapeSeqDecode hexDecode hexEncode htmlEntityDecode jsDecode length lowercase md5 none
normalisePath normalizePath normalisePathWin normalizePathWin parityEven7bit parityOdd7bit
parityZero7bit removeNulls removeWhitespace replaceComments removeCommentsChar removeComments
replaceNulls urlDecode uppercase urlDecodeUni urlEncode utf8toUnicode sha1 trimLeft trimRight
trim""",
    "action": """
accuracy allow append auditlog block capture chain ctl deny deprecatevar drop exec expirevar id
initcol log logdata maturity msg multiMatch noauditlog nolog pass pause phase prepend proxy redirect
rev sanitiseArg sanitiseMatched sanitiseMatchedBytes sanitiseRequestHeader sanitiseResponseHeader
severity setuid setrsc setsid setenv setvar skip skipAfter status t tag ver xmlns""",
    "ctl": """
auditEngine auditLogParts debugLogLevel forceRequestBodyVariable parseXmlIntoArgs requestBodyAccess
requestBodyLimit requestBodyProcessor responseBodyAccess responseBodyLimit ruleEngine ruleRemoveById
ruleRemoveByMsg ruleRemoveByTag ruleRemoveTargetById ruleRemoveTargetByMsg ruleRemoveTargetByTag
hashEngine hashEnforcement""",
}


def header(name):
    return (ROOT / name).read_text().replace("\\\n", "\n")


def rows(text, macro):
    """(enumerator, fields) of each row of an X-macro."""
    body = re.search(rf"#define {macro}\(X\)(.*?)\n\n", text, re.S).group(1)
    for row in re.findall(r'\bX\((k\w+,(?:[^()"]|"[^"]*")*)\)', body):
        fields = re.findall(r'"[^"]*"|[^\s,"]+', row)
        yield fields[0], [field.strip('"') for field in fields[1:]]


def noted(condition, order, enumerator):
    """Whether an `if` of a ..._note() function speaks of the enumerator."""
    at = order.index(enumerator)
    for part in condition.split("||"):
        bounds = re.findall(r"id (==|>=|<=) \w+::(k\w+)", part)
        if bounds and all({"==": at == order.index(name), ">=": at >= order.index(name),
                           "<=": at <= order.index(name)}[sign] for sign, name in bounds):
            return True
    return False


def note_of(text, function, order, enumerator):
    """What a constexpr function of a header says of the enumerator."""
    body = re.search(rf"\b{function}\(\w+ id\) \{{(.*?)\n\}}", text, re.S).group(1)
    for condition, note in re.findall(r'if \(([^{;]*?)\)\s*\{?\s*return "([^"]*)"', body):
        if noted(condition, order, enumerator):
            return note
    last = re.search(r'\n  return "([^"]*)";\s*$', body)
    return last.group(1) if last else ""


def tables():
    """{kind: [(name, alias, support, note)]} as the compiler has them."""
    found = {}
    text = header("controlplane/seclang/directives.h")
    found["directive"] = [(f[0], "", SUPPORT[f[3]], f[4]) for _, f in rows(text, "SLUICE_DIRECTIVES")]
    abi = {"variable": ("variables.h", "SLUICE_VARIABLES", "variable_note", None, 3),
           "operator": ("operators.h", "SLUICE_OPERATORS", "operator_refusal", 1, 3),
           "transformation": ("transforms.h", "SLUICE_TRANSFORMS", None, 1, None),
           "action": ("actions.h", "SLUICE_ACTIONS", "action_note", 1, 4),
           "ctl": ("actions.h", "SLUICE_CONTROLS", "control_note", None, 2)}
    for kind, (file, macro, function, alias, support) in abi.items():
        text = header("dataplane/abi/" + file)
        listed = list(rows(text, macro))
        order = [enumerator for enumerator, _ in listed]
        found[kind] = []
        for enumerator, fields in listed:
            how = SUPPORT[fields[support]] if support is not None else "supported"
            note = ""
            if how == "never matches":
                note = "accepted, noted at load: no name is looked up and no file hashed here"
            elif how != "supported":
                note = note_of(text, function, order, enumerator)
            found[kind].append((fields[0], fields[alias] if alias is not None else "", how, note))
    return found


def line_of(name, alias, how, note):
    shown = f"`{name}`" + (f", `{alias}`" if alias else "")
    return f"| {shown} | {how} | {note} |"


def main():
    found = tables()
    if sys.argv[1:] == ["--write"]:
        for kind, listed in found.items():
            print(f"\n### {kind.capitalize()}s\n\n| {kind} | support | note |\n| --- | --- | --- |")
            for row in listed:
                print(line_of(*row))
        return 0
    page = (ROOT / "docs/seclang.md").read_text()
    wrong = []
    for kind, listed in found.items():
        section = re.search(rf"\n### {kind.capitalize()}s\n(.*?)(?=\n##|\Z)", page, re.S)
        lines = [line for line in (section.group(1) if section else "").splitlines()
                 if line.startswith("| `")]
        wanted = [line_of(*row) for row in listed]
        wrong += [f"{kind} missing or out of date: {line}" for line in wanted if line not in lines]
        wrong += [f"{kind} that the compiler does not have: {line}"
                  for line in lines if line not in wanted]
        wrong += [f"{kind} {name} is {how} without a reason"
                  for name, _, how, note in listed if how != "supported" and not note]
        names = {each.lower() for row in listed for each in row[:2]}
        wrong += [f"{kind} of the reference manual that the compiler does not have: {name}"
                  for name in MANUAL[kind].split() if name.lower() not in names]
        if len(listed) < 15:
            wrong.append(f"tests/tidy/docs_seclang.py reads only {len(listed)} {kind}s")
    for item in wrong:
        print(f"docs/seclang.md: {item}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
