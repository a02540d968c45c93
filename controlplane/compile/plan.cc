// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/plan.h"

#include <hs/hs.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <tuple>

#include "controlplane/compile/gates.h"
#include "dataplane/rules/operator/phrases.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::compile {

namespace {

using abi::OperatorId;
using abi::TransformId;
using abi::VariableId;

/// Lists of values as ValueTable has them, by what a variable means; and whether names are meant.
struct Lists {
  std::vector<VariableId> of;
  bool names = false;
};

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

/// Variables whose values are all in the table, and so scanned.
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

/// A lowercase node is transparent to scans if all that ever comes behind it commutes with it.
void mark_transparent(Program& program) {
  std::vector<bool> safe(program.nodes.size(), true);
  for (std::size_t i = program.nodes.size(); i-- > 1;) {
    const abi::TransformNode& node = program.nodes[i];
    if (!safe[i] || !commutes_with_lowercase(static_cast<TransformId>(node.transform))) {
      safe[node.parent] = false;
    }
  }
  for (std::size_t i = 1; i < program.nodes.size(); ++i) {
    abi::TransformNode& node = program.nodes[i];
    const bool lowers = static_cast<TransformId>(node.transform) == TransformId::kLowercase;
    node.is_transparent = lowers && safe[i] ? 1 : 0;
  }
}

bool ignores_case(const Program& program, std::uint16_t node) {
  for (; node != 0; node = program.nodes[node].parent) {
    if (program.nodes[node].is_transparent != 0) return true;
  }
  return false;
}

/// What one pattern is before the sets are made.
struct Pattern {
  std::vector<Expression> expressions;  ///< ids not set yet; none: kAlways
  std::vector<std::uint64_t> gates;
  std::uint32_t regex = abi::kNone32;
  std::set<std::pair<std::uint16_t, std::uint32_t>> uses;  ///< node, check
};

class Planner {
 public:
  Planner(const seclang::LinkedRules& source, StringsBuilder& strings, DatabaseMaker& maker,
          config::Diagnostics& diagnostics, Program& program, CompileReport& report)
      : source_(source),
        strings_(strings),
        maker_(maker),
        diagnostics_(diagnostics),
        program_(program),
        report_(report) {}

  void run(const std::vector<LoweredCheck>& checks) {
    mark_transparent(program_);
    for (const LoweredCheck& check : checks) plan_check(check);
    make_patterns();
    make_sets();
    report_.checks = program_.check_rules.size();
    report_.patterns = patterns_.size();
  }

 private:
  void plan_check(const LoweredCheck& lowered) {
    abi::Rule& rule = program_.rules[lowered.rule];
    const seclang::Link& link = *lowered.link;
    if ((rule.flags & abi::kRuleNegated) != 0 || link.targets.empty()) return;
    const bool scannable = std::all_of(
        link.targets.begin(), link.targets.end(),
        [](const seclang::Target& target) { return !target.count && is_scanned(target.variable); });
    std::string key;
    Pattern pattern;
    if (!scannable || !find_pattern(lowered, key, pattern)) return;
    const bool caseless = path_ignores_case(rule, link);
    key += caseless ? "/i" : "/c";
    if (caseless) {
      for (Expression& each : pattern.expressions) each.flags |= HS_FLAG_CASELESS;
    }
    const auto [entry, is_new] =
        pattern_numbers_.try_emplace(key, static_cast<std::uint32_t>(patterns_.size()));
    if (is_new) {
      if (!choose_engine(pattern, rule)) {
        pattern_numbers_.erase(entry);
        return;
      }
      patterns_.push_back(std::move(pattern));
    }
    use_pattern(lowered, entry->second, rule);
  }

  [[nodiscard]] bool path_ignores_case(const abi::Rule& rule, const seclang::Link&) const {
    return ignores_case(program_, rule.node);
  }

  /// The expressions of a rule's operator. False where the operator is not scanned for.
  bool find_pattern(const LoweredCheck& lowered, std::string& key, Pattern& pattern) {
    const abi::Rule& rule = program_.rules[lowered.rule];
    const seclang::Operator& op = lowered.link->op;
    const unsigned flags = HS_FLAG_DOTALL | HS_FLAG_MULTILINE;
    switch (op.id) {
      case OperatorId::kRx:
      case OperatorId::kRxGlobal: {
        const std::string text(op.expanded.constant());
        if (rule.argument_index == abi::kNone32 || matches_empty(text)) return false;
        key = "r" + text;
        pattern.regex = rule.argument_index;
        pattern.expressions.push_back({text, flags, 0, false});
        pattern.gates = regex_gates(text);
        return true;
      }
      case OperatorId::kPm:
      case OperatorId::kPmFromFile: {
        const abi::PhraseSet& set = program_.phrase_sets[rule.argument_index];
        key = "p" + std::to_string(rule.argument_index);
        std::vector<std::string> phrases;
        for (std::uint32_t i = 0; i < set.phrase_count; ++i) {
          const abi::StringRef ref = program_.phrases[set.first_phrase + i];
          phrases.push_back(strings_.bytes().substr(ref.offset, ref.bytes));
        }
        for (const std::string& phrase : phrases) {
          pattern.expressions.push_back(
              {escape(phrase), HS_FLAG_DOTALL | HS_FLAG_CASELESS, 0, false});
        }
        pattern.gates = literal_gates(phrases);
        return !phrases.empty();
      }
      case OperatorId::kContains:
      case OperatorId::kStrmatch:
      case OperatorId::kContainsWord:
      case OperatorId::kBeginsWith:
      case OperatorId::kEndsWith:
      case OperatorId::kStreq: {
        if (!op.expanded.is_constant() || op.expanded.constant().empty()) return false;
        const std::string text(op.expanded.constant());
        key = "l" + text;
        pattern.expressions.push_back({escape(text), HS_FLAG_DOTALL, 0, false});
        pattern.gates = literal_gates({text});
        return true;
      }
      case OperatorId::kDetectSqli:
        key = "sqli";
        return true;
      case OperatorId::kDetectXss:
        key = "xss";
        return true;
      default:
        return false;
    }
  }

  static std::string escape(std::string_view text) {
    std::string result;
    for (const char c : text) {
      char digits[5];
      std::snprintf(digits, sizeof digits, "\\x%02x", static_cast<unsigned char>(c));
      result += digits;
    }
    return result;
  }

  static bool matches_empty(const std::string& pattern) {
    auto regex = rules::Regex::compile(pattern);
    auto context = rules::RegexContext::create();
    if (!regex.ok() || !context.ok()) return true;
    rules::RegexContext matching = std::move(context).value();
    return matching.match(regex.value(), {}) != rules::MatchOutcome::kNoMatch;
  }

  /// Exact, prefilter, or PCRE2 alone, by trying.
  bool choose_engine(Pattern& pattern, const abi::Rule& rule) {
    if (pattern.expressions.size() != 1 || pattern.regex == abi::kNone32) return true;
    Expression& expression = pattern.expressions[0];
    switch (maker_.try_pattern(expression.pattern, expression.flags)) {
      case DatabaseMaker::Support::kExact:
        return true;
      case DatabaseMaker::Support::kPrefilter:
        expression.flags |= HS_FLAG_PREFILTER;
        ++report_.prefiltered;
        return true;
      case DatabaseMaker::Support::kNone:
        pattern.expressions.clear();
        ++report_.without_scan;
        (void)rule;
        return true;
    }
    return false;
  }

  void use_pattern(const LoweredCheck& lowered, std::uint32_t pattern, abi::Rule& rule) {
    const bool every_form = (rule.flags & abi::kRuleMultiMatch) != 0;
    const auto key = std::make_tuple(pattern, rule.node, every_form);
    const auto [entry, is_new] =
        checks_.try_emplace(key, static_cast<std::uint32_t>(program_.check_rules.size()));
    if (is_new) program_.check_rules.push_back(0);
    const std::uint32_t check = entry->second;
    ++program_.check_rules[check];
    rule.check = check;
    rule.flags |= abi::kRuleScanned;
    std::set<std::uint16_t> nodes{rule.node};
    if (every_form) {
      nodes.insert(0);
      for (std::uint16_t at = rule.node; at != 0; at = program_.nodes[at].parent) nodes.insert(at);
    }
    for (const std::uint16_t node : nodes) patterns_[pattern].uses.insert({node, check});
    for (const seclang::Target& target : lowered.link->targets) {
      add_to_zones(target, pattern, nodes);
    }
  }

  struct Content {
    std::set<std::uint32_t> patterns;
    std::set<std::uint16_t> nodes;
  };

  void add_to_zones(const seclang::Target& target, std::uint32_t pattern,
                    const std::set<std::uint16_t>& nodes) {
    const Lists lists = lists_of(target.variable);
    std::string key;
    if (target.selector.kind == seclang::Selector::Kind::kName ||
        target.selector.kind == seclang::Selector::Kind::kXPath) {
      key = target.selector.text;
      for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const VariableId list : lists.of) {
      const auto code =
          static_cast<std::uint16_t>(static_cast<unsigned>(list) * 2 + (lists.names ? 1U : 0U));
      Content& content = zones_[{code, key}];
      content.patterns.insert(pattern);
      content.nodes.insert(nodes.begin(), nodes.end());
    }
  }

  void make_patterns() {
    for (const Pattern& pattern : patterns_) {
      abi::ScanPattern result{};
      result.first_use = static_cast<std::uint32_t>(program_.uses.size());
      for (const auto& [node, check] : pattern.uses) program_.uses.push_back({node, 0, check});
      result.use_count = static_cast<std::uint32_t>(pattern.uses.size());
      result.first_gate = static_cast<std::uint32_t>(program_.gates.size());
      program_.gates.insert(program_.gates.end(), pattern.gates.begin(), pattern.gates.end());
      result.gate_count = static_cast<std::uint32_t>(pattern.gates.size());
      result.regex = pattern.regex;
      result.kind = static_cast<std::uint8_t>(
          pattern.expressions.empty() ? abi::ScanKind::kAlways : abi::ScanKind::kHyperscan);
      program_.patterns.push_back(result);
    }
  }

  void make_sets() {
    for (auto& [place, content] : zones_) {
      const auto& [code, key] = place;
      if (key.empty()) continue;
      // Values with that key are looked at by the rules for every key as well.
      const auto all = zones_.find({code, std::string()});
      if (all == zones_.end()) continue;
      content.patterns.insert(all->second.patterns.begin(), all->second.patterns.end());
      content.nodes.insert(all->second.nodes.begin(), all->second.nodes.end());
    }
    std::map<std::pair<std::set<std::uint32_t>, std::set<std::uint16_t>>, std::uint32_t> sets;
    for (const auto& [place, content] : zones_) {
      const auto identity = std::make_pair(content.patterns, content.nodes);
      const auto [entry, is_new] =
          sets.try_emplace(identity, static_cast<std::uint32_t>(program_.sets.size()));
      if (is_new) make_set(content);
      program_.zones.push_back({place.first, 0, entry->second, strings_.add(place.second)});
    }
  }

  void make_set(const Content& content) {
    abi::ScanSet set{};
    set.first_pattern = static_cast<std::uint32_t>(program_.set_patterns.size());
    set.pattern_count = static_cast<std::uint32_t>(content.patterns.size());
    std::vector<Expression> expressions;
    unsigned id = 0;
    for (const std::uint32_t pattern : content.patterns) {
      program_.set_patterns.push_back(pattern);
      for (Expression each : patterns_[pattern].expressions) {
        each.id = id;
        expressions.push_back(std::move(each));
      }
      ++id;
    }
    std::set<std::uint16_t> nodes{0};
    for (std::uint16_t node : content.nodes) {
      for (; node != 0; node = program_.nodes[node].parent) nodes.insert(node);
    }
    set.first_node = static_cast<std::uint32_t>(program_.set_nodes.size());
    set.node_count = static_cast<std::uint32_t>(nodes.size());
    program_.set_nodes.insert(program_.set_nodes.end(), nodes.begin(), nodes.end());
    set.first_database = static_cast<std::uint32_t>(program_.databases.size());
    if (!expressions.empty()) {
      auto made = maker_.make(expressions);
      if (!made.ok()) {
        diagnostics_.error("", 1, 1, made.error().message);
      } else {
        program_.databases.push_back(
            {std::move(made).value(), ~std::uint64_t{0}, set.first_pattern, set.pattern_count});
        set.database_count = 1;
      }
    }
    program_.sets.push_back(set);
  }

  const seclang::LinkedRules& source_;
  StringsBuilder& strings_;
  DatabaseMaker& maker_;
  config::Diagnostics& diagnostics_;
  Program& program_;
  CompileReport& report_;
  std::vector<Pattern> patterns_;
  std::map<std::string, std::uint32_t> pattern_numbers_;
  std::map<std::tuple<std::uint32_t, std::uint16_t, bool>, std::uint32_t> checks_;
  std::map<std::pair<std::uint16_t, std::string>, Content> zones_;
};

}  // namespace

void plan_scans(const seclang::LinkedRules& source, const std::vector<LoweredCheck>& checks,
                StringsBuilder& strings, DatabaseMaker& maker, config::Diagnostics& diagnostics,
                Program& program, CompileReport& report) {
  Planner(source, strings, maker, diagnostics, program, report).run(checks);
}

void make_phrase_databases(const StringsBuilder& strings, DatabaseMaker& maker,
                           config::Diagnostics& diagnostics, Program& program) {
  for (abi::PhraseSet& set : program.phrase_sets) {
    std::vector<Expression> expressions;
    for (std::uint32_t i = 0; i < set.phrase_count; ++i) {
      const abi::StringRef ref = program.phrases[set.first_phrase + i];
      if (ref.bytes == 0) continue;
      expressions.push_back(
          {strings.bytes().substr(ref.offset, ref.bytes), HS_FLAG_CASELESS, i, true});
    }
    if (expressions.empty()) continue;
    auto made = maker.make(expressions);
    if (!made.ok()) {
      diagnostics.error("", 1, 1, made.error().message);
      continue;
    }
    set.database = static_cast<std::uint32_t>(program.databases.size());
    program.databases.push_back({std::move(made).value(), ~std::uint64_t{0}, 0, 0});
  }
}

}  // namespace sluice::compile
