// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controlplane/seclang/link.h"

namespace sluice::seclang {

/// A text linked as the file /rules/test.conf, beside the other files given.
struct Linked {
  explicit Linked(const std::string& text, std::vector<publish::Source> files = {}) {
    SourceSet sources(std::move(files));
    config::Diagnostics diagnostics;
    rules = link_text("/rules/test.conf", text, sources, diagnostics);
    errors = lines(diagnostics.errors);
    warnings = lines(diagnostics.warnings);
  }

  /// "line:column: message" per complaint; the file's name in front where it is another one.
  static std::string lines(const std::vector<config::Diagnostic>& list) {
    std::string text;
    for (const config::Diagnostic& item : list) {
      if (item.file != "/rules/test.conf") text += item.file + ":";
      text += std::to_string(item.line) + ":" + std::to_string(item.column) + ": " + item.message +
              "\n";
    }
    return text;
  }

  [[nodiscard]] const Rule& rule(std::uint32_t id) const {
    for (const Rule& candidate : rules.rules) {
      if (candidate.id == id) return candidate;
    }
    static const Rule kMissing = [] {
      Rule missing;
      missing.links.emplace_back();
      return missing;
    }();
    return kMissing;
  }

  LinkedRules rules;
  std::string errors, warnings;
};

/// A text as the rule writes it.
inline std::string written(const MacroText& text) {
  std::string result;
  for (const MacroPiece& piece : text.pieces) {
    if (!piece.is_variable) {
      result += piece.literal;
    } else {
      result += "<" + std::string(abi::variable_info(piece.variable).name) +
                (piece.key.empty() ? "" : "." + piece.key) + ">";
    }
  }
  return result;
}

/// A target as "NAME:key", "&NAME", "NAME:/regex/", its exclusions behind "-".
inline std::string written(const Selector& selector) {
  if (selector.kind == Selector::Kind::kNone) return "";
  if (selector.kind == Selector::Kind::kRegex) return ":/" + selector.text + "/";
  return ":" + selector.text;
}
inline std::string written(const Target& target) {
  std::string text = (target.count ? "&" : "") +
                     std::string(abi::variable_info(target.variable).name) +
                     written(target.selector);
  for (const Selector& excluded : target.excluded) text += " -" + written(excluded);
  return text;
}
inline std::string written(const std::vector<Target>& targets) {
  std::string text;
  for (const Target& target : targets) text += (text.empty() ? "" : "|") + written(target);
  return text;
}

}  // namespace sluice::seclang
