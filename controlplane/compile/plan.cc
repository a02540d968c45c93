// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/plan.h"

#include <hs/hs.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <tuple>

#include "controlplane/compile/lead.h"
#include "controlplane/compile/needs.h"
#include "controlplane/compile/pattern_databases.h"
#include "controlplane/compile/scan_sets.h"
#include "controlplane/compile/scanned.h"
#include "dataplane/rules/operator/phrases.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::compile {

namespace {

using abi::OperatorId;
using abi::VariableId;

/// What one pattern is before the sets are made.
struct Pattern {
  std::vector<Expression> expressions;  ///< none: kAlways
  Needs needs{Need{}};
  abi::ScanLead lead{};
  std::uint32_t regex = abi::kNone32;
  std::uint32_t database = abi::kNone32;
  abi::ScanKind without_scan = abi::ScanKind::kAlways;     ///< where there are no expressions
  bool exact = true;                                       ///< no superset is looked for
  std::set<std::pair<std::uint16_t, std::uint32_t>> uses;  ///< node, check
};

class Planner {
 public:
  Planner(StringsBuilder& strings, DatabaseMaker& maker, Program& program, CompileReport& report)
      : strings_(strings), maker_(maker), program_(program), report_(report) {}

  void run(const std::vector<LoweredCheck>& checks) {
    mark_case_ignored(program_);
    for (const LoweredCheck& check : checks) plan_check(check);
    complete_zones();
    make_databases();
    make_patterns_and_sets();
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
    const bool caseless = ignores_case(program_, rule.node);
    key += caseless ? "/i" : "/c";
    const auto [entry, is_new] =
        pattern_numbers_.try_emplace(key, static_cast<std::uint32_t>(patterns_.size()));
    if (is_new && caseless) {
      for (Expression& each : pattern.expressions) each.flags |= HS_FLAG_CASELESS;
      pattern.regex = without_case(pattern.regex);
    }
    if (is_new) patterns_.push_back(std::move(pattern));
    use_pattern(lowered, entry->second, rule);
  }

  /// The same regex as scans look for it.
  std::uint32_t without_case(std::uint32_t regex) {
    if (regex == abi::kNone32) return regex;
    const abi::RegexSpec& spec = program_.regexes[regex];
    const std::string_view text =
        std::string_view(strings_.bytes()).substr(spec.pattern.offset, spec.pattern.bytes);
    if (spec.flags == abi::kRegexCaseless || text.starts_with("(?i)")) return regex;
    program_.regexes.push_back({spec.pattern, abi::kRegexCaseless, 0, 0, 0});
    return static_cast<std::uint32_t>(program_.regexes.size() - 1);
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
        pattern.needs = regex_needs(text);
        pattern.lead = lead_of(text);
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
        pattern.needs = literal_needs(phrases);
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
        // What must begin with a text, or be it, is another pattern than what holds it somewhere.
        const bool whole = op.id == OperatorId::kStreq;
        const bool begins = whole || op.id == OperatorId::kBeginsWith;
        key = (whole ? "s" : begins ? "L" : "l") + text;
        pattern.expressions.push_back({escape(text), HS_FLAG_DOTALL, 0, false});
        pattern.needs = literal_needs({text});
        for (Need& need : pattern.needs) {
          constexpr std::uint64_t kUpper = rules::class_bit(rules::ByteClass::kUpper);
          if (whole) need.forbidden = ~(rules::classes_of_any(text) | kUpper);
        }
        pattern.lead = lead_of((begins ? "\\A" : "") + escape(text));
        return true;
      }
      case OperatorId::kDetectSqli:
        key = "sqli";
        pattern.without_scan = abi::ScanKind::kSqli;
        return true;
      case OperatorId::kValidateUrlEncoding:
        key = "url";
        pattern.needs = literal_needs({"%"});
        return true;
      case OperatorId::kValidateUtf8Encoding:
        key = "utf8";
        pattern.needs = literal_needs({"\x80"});
        return true;
      case OperatorId::kValidateByteRange:
        key = "b" + op.argument;
        pattern.needs = byte_range_needs(program_.byte_ranges[rule.argument_index]);
        return true;
      case OperatorId::kDetectXss:
        key = "xss";
        pattern.without_scan = abi::ScanKind::kXss;
        pattern.needs = xss_needs();
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

  void make_databases() {
    PatternDatabases databases(maker_);
    for (Pattern& pattern : patterns_) {
      if (pattern.expressions.empty()) continue;
      PatternDatabase made = databases.make(pattern.expressions);
      if (made.bytes.empty()) {
        pattern.expressions.clear();
        ++report_.without_scan;
        continue;
      }
      pattern.exact = !made.prefiltered;
      if (made.prefiltered) ++report_.prefiltered;
      pattern.database = static_cast<std::uint32_t>(program_.databases.size());
      program_.databases.push_back(std::move(made.bytes));
    }
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

  /// A pattern that a rule looks for in all values of a list but those with these keys.
  struct ForAll {
    std::uint16_t code;
    std::uint32_t pattern;
    std::set<std::uint16_t> nodes;
    std::set<std::string> excluded;
  };

  static std::string lower_case(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  }

  /// Headers that the target leaves out by name: their names ignore case, as keys of zones do.
  static std::set<std::string> excluded_headers(const seclang::Target& target) {
    std::set<std::string> result;
    if (target.variable != VariableId::kRequestHeaders) return result;
    for (const seclang::Selector& each : target.excluded) {
      if (each.kind == seclang::Selector::Kind::kName) result.insert(lower_case(each.text));
    }
    return result;
  }

  static void add_to(SetContent& content, std::uint32_t pattern,
                     const std::set<std::uint16_t>& nodes) {
    content.patterns.insert(pattern);
    content.nodes.insert(nodes.begin(), nodes.end());
  }
  void add_to_zones(const seclang::Target& target, std::uint32_t pattern,
                    const std::set<std::uint16_t>& nodes) {
    const Lists lists = lists_of(target.variable);
    std::string key;
    if (target.selector.kind == seclang::Selector::Kind::kName ||
        target.selector.kind == seclang::Selector::Kind::kXPath) {
      key = lower_case(target.selector.text);
    }
    for (const VariableId list : lists.of) {
      const auto code =
          static_cast<std::uint16_t>(static_cast<unsigned>(list) * 2 + (lists.names ? 1U : 0U));
      add_to(zones_[{code, key}], pattern, nodes);
      if (!key.empty()) continue;
      const std::set<std::string> excluded = excluded_headers(target);
      for (const std::string& each : excluded) zones_[{code, each}];
      for_all_.push_back({code, pattern, nodes, excluded});
    }
  }

  /// Values with a key of their own are looked at by the rules for every key as well.
  void complete_zones() {
    for (auto& [place, content] : zones_) {
      if (place.second.empty()) continue;
      for (const ForAll& each : for_all_) {
        if (each.code == place.first && !each.excluded.contains(place.second)) {
          add_to(content, each.pattern, each.nodes);
        }
      }
    }
  }

  void make_patterns_and_sets() {
    std::vector<SievedPattern> sieved;
    for (const Pattern& pattern : patterns_) {
      std::set<std::uint16_t> nodes;
      for (const auto& [node, check] : pattern.uses) nodes.insert(node);
      sieved.push_back({pattern.needs, pattern.lead, std::move(nodes)});
    }
    ScanSets sets(sieved, program_);
    for (std::uint32_t i = 0; i < patterns_.size(); ++i) add_pattern(patterns_[i], sets.lead_of(i));
    for (const auto& [place, content] : zones_) {
      program_.zones.push_back({place.first, 0, sets.set_for(content), strings_.add(place.second)});
    }
    sets.make_node_leads();
  }

  void add_pattern(const Pattern& pattern, std::uint16_t lead) {
    abi::ScanPattern result{};
    result.first_use = static_cast<std::uint32_t>(program_.uses.size());
    for (const auto& [node, check] : pattern.uses) program_.uses.push_back({node, 0, check});
    result.use_count = static_cast<std::uint32_t>(pattern.uses.size());
    result.regex = pattern.regex;
    result.database = pattern.expressions.empty() ? abi::kNone32 : pattern.database;
    result.lead = lead;
    result.kind = static_cast<std::uint8_t>(
        pattern.expressions.empty() ? pattern.without_scan : abi::ScanKind::kHyperscan);
    result.exact =
        pattern.exact && pattern.regex != abi::kNone32 && !pattern.expressions.empty() ? 1 : 0;
    program_.patterns.push_back(result);
  }

  StringsBuilder& strings_;
  DatabaseMaker& maker_;
  Program& program_;
  CompileReport& report_;
  std::vector<Pattern> patterns_;
  std::map<std::string, std::uint32_t> pattern_numbers_;
  std::map<std::tuple<std::uint32_t, std::uint16_t, bool>, std::uint32_t> checks_;
  std::map<std::pair<std::uint16_t, std::string>, SetContent> zones_;
  std::vector<ForAll> for_all_;
};

}  // namespace

void plan_scans(const std::vector<LoweredCheck>& checks, StringsBuilder& strings,
                DatabaseMaker& maker, Program& program, CompileReport& report) {
  Planner(strings, maker, program, report).run(checks);
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
    int bad = -1;
    auto made = maker.make(expressions, bad);
    if (!made.ok()) {
      diagnostics.error("", 1, 1, made.error().message);
      continue;
    }
    set.database = static_cast<std::uint32_t>(program.databases.size());
    program.databases.push_back(std::move(made).value());
  }
}

}  // namespace sluice::compile
