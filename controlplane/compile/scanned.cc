// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/scanned.h"

#include "dataplane/rules/transform/transform.h"

namespace sluice::compile {

using abi::TransformId;
using abi::VariableId;

Lists lists_of(VariableId variable) {
  using enum VariableId;
  switch (variable) {
    case kArgs:
      return {{kArgsGet, kArgsPost, VariableId::kArgs}, false};
    case kArgsNames:
      return {{kArgsGet, kArgsPost, VariableId::kArgs}, true};
    case kArgsGetNames:
      return {{kArgsGet}, true};
    case kArgsPostNames:
      return {{kArgsPost}, true};
    case kRequestHeadersNames:
      return {{kRequestHeaders}, true};
    case kRequestCookiesNames:
      return {{kRequestCookies}, true};
    case kResponseHeadersNames:
      return {{kResponseHeaders}, true};
    case kFilesNames:
      return {{kFiles}, true};
    default:
      return {{variable}, false};
  }
}

bool is_scanned(VariableId variable) {
  using enum VariableId;
  switch (variable) {
    case kArgs:
    case kArgsGet:
    case kArgsGetNames:
    case kArgsNames:
    case kArgsPost:
    case kArgsPostNames:
    case kAuthType:
    case kFiles:
    case kFilesNames:
    case kFilesTmpContent:
    case kFullRequest:
    case kMultipartFilename:
    case kMultipartName:
    case kMultipartPartHeaders:
    case kPathInfo:
    case kQueryString:
    case kRemoteUser:
    case kRequestBasename:
    case kRequestBody:
    case kRequestCookies:
    case kRequestCookiesNames:
    case kRequestFilename:
    case kRequestHeaders:
    case kRequestHeadersNames:
    case kRequestLine:
    case kRequestMethod:
    case kRequestProtocol:
    case kRequestUri:
    case kRequestUriRaw:
    case kResponseBody:
    case kResponseContentType:
    case kResponseHeaders:
    case kResponseHeadersNames:
    case kServerName:
    case kXml:
      return true;
    default:
      return false;
  }
}

namespace {

/// Transformations that give the same but for case whether the value was lower-cased before them or
/// not. Base64 and the like are not among them, nor escapes whose letters mean something by case.
bool commutes_with_lowercase(TransformId id) {
  switch (id) {
    case TransformId::kNone:
    case TransformId::kLowercase:
    case TransformId::kUrlDecode:
    case TransformId::kUrlDecodeUni:
    case TransformId::kHtmlEntityDecode:
    case TransformId::kRemoveNulls:
    case TransformId::kReplaceNulls:
    case TransformId::kRemoveWhitespace:
    case TransformId::kCompressWhitespace:
    case TransformId::kReplaceComments:
    case TransformId::kRemoveComments:
    case TransformId::kRemoveCommentsChar:
    case TransformId::kNormalizePath:
    case TransformId::kNormalizePathWin:
    case TransformId::kCmdLine:
    case TransformId::kTrim:
    case TransformId::kTrimLeft:
    case TransformId::kTrimRight:
      return true;
    default:
      return false;
  }
}

}  // namespace

void mark_case_ignored(Program& program) {
  std::vector<bool> safe(program.nodes.size(), true);
  for (std::size_t i = program.nodes.size(); i-- > 1;) {
    const abi::TransformNode& node = program.nodes[i];
    if (!safe[i] || !commutes_with_lowercase(static_cast<TransformId>(node.transform))) {
      safe[node.parent] = false;
    }
  }
  for (std::size_t i = 1; i < program.nodes.size(); ++i) {
    abi::TransformNode& node = program.nodes[i];
    const auto id = static_cast<TransformId>(node.transform);
    const bool lowers = id == TransformId::kLowercase || id == TransformId::kCmdLine;
    node.ignores_case = lowers && safe[i] ? 1 : 0;
  }
}

bool always_changes(const Program& program, std::uint16_t node) {
  for (; node != 0; node = program.nodes[node].parent) {
    const auto id = static_cast<TransformId>(program.nodes[node].transform);
    if (rules::change_classes(id) == rules::kChangesAlways) return true;
  }
  return false;
}

bool ignores_case(const Program& program, std::uint16_t node) {
  for (; node != 0; node = program.nodes[node].parent) {
    if (program.nodes[node].ignores_case != 0) return true;
  }
  return false;
}

}  // namespace sluice::compile
