// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/lower.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "controlplane/compile/tx_keys.h"
#include "dataplane/abi/limits.h"
#include "dataplane/rules/operator/phrases.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::compile {

namespace {

using abi::VariableId;
using seclang::Link;
using seclang::LinkedRules;
using seclang::MacroText;

constexpr std::size_t kTextPartsMax = 48;   // the evaluator's bound
constexpr std::size_t kChainLinksMax = 64;  // the evaluator's bound
constexpr std::size_t kChainStepsMax = 32;  // transformations of one rule; the evaluator's bound

class Lowerer {
 public:
  Lowerer(const Folded& folded, StringsBuilder& strings, config::Diagnostics& diagnostics,
          Program& program)
      : folded_(folded),
        source_(folded.rules),
        strings_(strings),
        diagnostics_(diagnostics),
        program_(program) {
    program_.nodes.push_back({0, static_cast<std::uint8_t>(abi::TransformId::kNone), 0});
    for (int digit = 0; digit < 10; ++digit) slot(std::to_string(digit));
    for (const auto& [key, value] : folded.initial) {
      abi::TxSlot& place = program_.slots[slot(key)];
      place.initial = strings_.add(value);
      place.is_set = 1;
    }
  }

  std::vector<LoweredCheck> run() {
    lower_settings(source_, strings_, diagnostics_, program_);
    for (std::size_t i = 0; i < source_.rules.size(); ++i) {
      if (!folded_.dropped[i]) lower_rule(source_.rules[i], i);
    }
    resolve_jumps();
    return std::move(checks_);
  }

 private:
  void error(const seclang::Place& place, std::string message) {
    seclang::report_error(source_, place, std::move(message), diagnostics_);
  }

  void read(VariableId variable) {
    const auto bit = static_cast<unsigned>(variable);
    program_.variables[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }

  std::uint16_t slot(std::string_view key) {
    const auto [entry, is_new] =
        slots_.try_emplace(lower_key(key), static_cast<std::uint16_t>(program_.slots.size()));
    if (is_new) program_.slots.push_back({strings_.add(key), {0, 0}, 0, {}});
    return entry->second;
  }

  abi::RuleText text(const MacroText& source, const seclang::Place& place) {
    if (source.pieces.empty()) return {0, 0};
    if (source.pieces.size() > kTextPartsMax) {
      error(place, "more than 48 pieces and macros in one text");
      return {0, 0};
    }
    const abi::RuleText result{static_cast<std::uint32_t>(program_.texts.size()),
                               static_cast<std::uint32_t>(source.pieces.size())};
    for (const seclang::MacroPiece& piece : source.pieces) {
      abi::TextPart part{};
      part.text = strings_.add(piece.is_variable ? piece.key : piece.literal);
      part.variable = abi::kNone16;
      part.slot = abi::kNone16;
      if (piece.is_variable) {
        part.variable = static_cast<std::uint16_t>(piece.variable);
        if (piece.variable == VariableId::kTx) part.slot = slot(piece.key);
        read(piece.variable);
      }
      program_.texts.push_back(part);
    }
    return result;
  }

  std::uint32_t regex(const std::string& pattern, bool caseless, const seclang::Place& place) {
    const auto key = std::make_pair(pattern, caseless);
    if (const auto known = regexes_.find(key); known != regexes_.end()) return known->second;
    rules::RegexOptions options;
    options.caseless = caseless;
    if (const auto compiled = rules::Regex::compile(pattern, options); !compiled.ok()) {
      error(place, "the pattern does not compile: " + compiled.error().message);
      return abi::kNone32;
    }
    const auto index = static_cast<std::uint32_t>(program_.regexes.size());
    program_.regexes.push_back(
        {strings_.add(pattern), caseless ? abi::kRegexCaseless : 0, 0, 0, 0});
    regexes_.emplace(key, index);
    return index;
  }

  struct LoweredSelector {
    abi::Selector selector = abi::Selector::kAll;
    abi::StringRef key{0, 0};
    std::uint32_t regex = abi::kNone32;
  };
  LoweredSelector selector(const seclang::Selector& source, const seclang::Place& place) {
    LoweredSelector result;
    switch (source.kind) {
      case seclang::Selector::Kind::kNone:
        break;
      case seclang::Selector::Kind::kName:
      case seclang::Selector::Kind::kXPath:
        result.selector = abi::Selector::kKey;
        result.key = strings_.add(source.text);
        break;
      case seclang::Selector::Kind::kRegex:
        result.selector = abi::Selector::kRegex;
        result.key = strings_.add(source.text);
        result.regex = regex(source.text, true, place);
        break;
    }
    return result;
  }

  void target(const seclang::Target& source) {
    const LoweredSelector chosen = selector(source.selector, source.place);
    abi::RuleTarget result{};
    result.key = chosen.key;
    result.selector = chosen.selector;
    result.regex = chosen.regex;
    result.variable = static_cast<std::uint16_t>(source.variable);
    result.is_count = source.count ? 1 : 0;
    result.slot = source.variable == VariableId::kTx && chosen.selector == abi::Selector::kKey
                      ? slot(source.selector.text)
                      : abi::kNone16;
    result.first_exclusion = static_cast<std::uint32_t>(program_.exclusions.size());
    result.exclusion_count = static_cast<std::uint16_t>(source.excluded.size());
    for (const seclang::Selector& excluded : source.excluded) {
      const LoweredSelector out = selector(excluded, source.place);
      program_.exclusions.push_back({out.key, out.regex, out.selector, {}});
    }
    read(source.variable);
    program_.targets.push_back(result);
  }

  std::uint16_t node(const Link& link) {
    if (link.transforms.size() > kChainStepsMax) {
      error(link.place, "more than 32 transformations");
      return 0;
    }
    std::uint16_t at = 0;
    for (const abi::TransformId id : link.transforms) {
      const auto key = std::make_pair(at, id);
      const auto known = nodes_.find(key);
      if (known != nodes_.end()) {
        at = known->second;
        continue;
      }
      if (program_.nodes.size() == abi::kTransformNodesMax) {
        error(link.place, "the rules have more than 256 different chains of transformations");
        return 0;
      }
      program_.nodes.push_back({at, static_cast<std::uint8_t>(id), 0});
      at = static_cast<std::uint16_t>(program_.nodes.size() - 1);
      nodes_.emplace(key, at);
    }
    return at;
  }

  std::uint32_t phrases(const std::vector<std::string>& list) {
    std::string key;
    for (const std::string& phrase : list) key += phrase + '\0';
    if (const auto known = phrase_sets_.find(key); known != phrase_sets_.end()) {
      return known->second;
    }
    abi::PhraseSet set{static_cast<std::uint32_t>(program_.phrases.size()),
                       static_cast<std::uint32_t>(list.size()), abi::kNone32, 0};
    for (const std::string& phrase : list) program_.phrases.push_back(strings_.add(phrase));
    const auto index = static_cast<std::uint32_t>(program_.phrase_sets.size());
    program_.phrase_sets.push_back(set);
    phrase_sets_.emplace(std::move(key), index);
    return index;
  }

  std::uint32_t networks(const seclang::Operator& op) {
    rules::IpSetBuilder builder;
    base::Status status = base::ok_status();
    if (op.data.empty()) {
      status = builder.add_list(op.argument);
    }
    for (const std::uint32_t file : op.data) {
      if (status.ok()) status = builder.add_file(source_.data[file].text);
    }
    if (!status.ok()) error(op.argument_place, status.error().message);
    builder.finish();
    const rules::IpSet set = builder.set();
    program_.ip_sets.push_back({{set.v4.begin(), set.v4.end()}, {set.v6.begin(), set.v6.end()}});
    return static_cast<std::uint32_t>(program_.ip_sets.size() - 1);
  }

  void operation(const Link& link, abi::Rule& rule) {
    const seclang::Operator& op = link.op;
    rule.operator_id = static_cast<std::uint8_t>(op.id);
    if (op.negated) rule.flags |= abi::kRuleNegated;
    switch (abi::operator_info(op.id).argument) {
      case abi::OperatorArgument::kRegex:
        if (abi::operator_info(op.id).macro && !op.expanded.is_constant()) {
          error(op.argument_place,
                "the pattern holds macros whose values are not known when rules are loaded");
          return;
        }
        rule.argument_index =
            regex(std::string(abi::operator_info(op.id).macro ? op.expanded.constant()
                                                              : std::string_view(op.argument)),
                  false, op.argument_place);
        return;
      case abi::OperatorArgument::kPhrases:
        rule.argument_index = phrases(rules::parse_phrases(op.argument));
        return;
      case abi::OperatorArgument::kFile:
        if (op.id == abi::OperatorId::kPmFromFile) {
          std::vector<std::string> all;
          for (const std::uint32_t file : op.data) {
            for (std::string& phrase : rules::parse_phrase_file(source_.data[file].text)) {
              all.push_back(std::move(phrase));
            }
          }
          rule.argument_index = phrases(all);
        } else {
          rule.argument_index = networks(op);
        }
        return;
      case abi::OperatorArgument::kNetworks:
        rule.argument_index = networks(op);
        return;
      case abi::OperatorArgument::kRanges: {
        std::size_t ignored = 0;
        program_.byte_ranges.push_back(rules::parse_byte_range(op.argument, ignored));
        rule.argument_index = static_cast<std::uint32_t>(program_.byte_ranges.size() - 1);
        if (ignored > 0) {
          seclang::report_warning(source_, op.argument_place,
                                  "elements that are no byte or range are ignored", diagnostics_);
        }
        return;
      }
      case abi::OperatorArgument::kText:
      case abi::OperatorArgument::kNumber:
        rule.argument = text(op.expanded, op.argument_place);
        return;
      case abi::OperatorArgument::kNothing:
      case abi::OperatorArgument::kOther:
        return;
    }
  }

  /// Adds to an anomaly score that is no sum of others?
  static bool scores(const seclang::SetVariable& set) {
    if (set.kind != seclang::SetVariable::Kind::kAdd) return false;
    std::string key;
    for (const auto& piece : set.key.pieces) key += piece.is_variable ? "" : piece.literal;
    if (lower_key(key) == "sluice_score") return true;
    if (lower_key(key).find("anomaly_score") == std::string::npos) return false;
    for (const auto& piece : set.value.pieces) {
      if (piece.is_variable && lower_key(piece.key).find("anomaly_score_pl") != std::string::npos)
        return false;
    }
    return true;
  }

  void set_variable(const seclang::SetVariable& source) {
    abi::RuleAction action{};
    action.action = static_cast<std::uint8_t>(abi::ActionId::kSetVar);
    action.operation = static_cast<std::uint8_t>(source.kind);
    action.variable = static_cast<std::uint16_t>(source.collection);
    action.regex = abi::kNone32;
    action.slot = abi::kNone16;
    if (source.collection == VariableId::kTx && source.key.is_constant()) {
      action.slot = slot(source.key.constant());
    }
    action.key = text(source.key, source.place);
    action.value = text(source.value, source.place);
    if (source.value.is_constant()) {
      action.known |= abi::kActionNumberKnown;
      action.number = rules::eq_number(base::as_bytes(source.value.constant()));
    }
    if (scores(source)) action.known |= abi::kActionScores;
    program_.actions.push_back(action);
  }

  void effect(const seclang::ExpireVariable& source, bool) {
    abi::RuleAction action{};
    action.action = static_cast<std::uint8_t>(abi::ActionId::kExpireVar);
    action.variable = static_cast<std::uint16_t>(source.collection);
    action.slot = abi::kNone16;
    action.regex = abi::kNone32;
    action.key = text(source.key, source.place);
    action.value = text(source.seconds, source.place);
    program_.actions.push_back(action);
  }
  void effect(const seclang::InitCollection& source, bool is_late) {
    abi::RuleAction action{};
    action.action = static_cast<std::uint8_t>(abi::ActionId::kInitCol);
    action.variable = static_cast<std::uint16_t>(source.collection);
    action.slot = abi::kNone16;
    action.regex = abi::kNone32;
    action.key = text(source.key, source.place);
    if (is_late) action.known |= abi::kActionLate;
    program_.actions.push_back(action);
  }
  static std::int64_t processor_number(seclang::BodyProcessor processor) {
    return static_cast<std::int64_t>(processor) + 1;  // http::BodyProcessor has kNone before them
  }
  void effect(const seclang::Control& source, bool) {
    abi::RuleAction action{};
    action.action = static_cast<std::uint8_t>(abi::ActionId::kCtl);
    action.operation = static_cast<std::uint8_t>(source.id);
    action.variable = abi::kNone16;
    action.slot = abi::kNone16;
    action.regex = abi::kNone32;
    switch (abi::control_info(source.id).argument) {
      case abi::ControlArgument::kOnOff:
        action.number = source.on ? 1 : 0;
        break;
      case abi::ControlArgument::kEngine:
        action.number = static_cast<std::int64_t>(source.engine);
        break;
      case abi::ControlArgument::kProcessor:
        action.number = processor_number(source.processor);
        break;
      case abi::ControlArgument::kIds:
      case abi::ControlArgument::kIdsAndTarget:
        action.number = source.first_id;
        action.last = source.last_id;
        break;
      case abi::ControlArgument::kNumber:
        action.number = static_cast<std::int64_t>(source.number);
        break;
      case abi::ControlArgument::kText:
      case abi::ControlArgument::kTextAndTarget:
      case abi::ControlArgument::kOther:
        break;
    }
    if (!source.text.empty()) {
      MacroText literal;
      literal.pieces.push_back({false, source.text, {}, {}});
      action.value = text(literal, source.place);
    }
    const abi::ControlArgument argument = abi::control_info(source.id).argument;
    if (argument == abi::ControlArgument::kIdsAndTarget ||
        argument == abi::ControlArgument::kTextAndTarget) {
      const LoweredSelector chosen = selector(source.target.selector, source.place);
      action.variable = static_cast<std::uint16_t>(source.target.variable);
      action.selector = chosen.selector;
      action.target_key = chosen.key;
      action.regex = chosen.regex;
    }
    program_.actions.push_back(action);
  }

  void link_actions(const Link& link, bool is_late, abi::Rule& rule) {
    rule.first_set = static_cast<std::uint32_t>(program_.actions.size());
    for (const seclang::SetVariable& set : link.set_variables) set_variable(set);
    rule.set_count = static_cast<std::uint32_t>(program_.actions.size()) - rule.first_set;
    rule.first_after = static_cast<std::uint32_t>(program_.actions.size());
    for (const seclang::Effect& each : link.effects) {
      std::visit([&](const auto& source) { effect(source, is_late); }, each);
    }
    rule.after_count = static_cast<std::uint32_t>(program_.actions.size()) - rule.first_after;
  }

  void link_texts(const Link& link, abi::Rule& rule) {
    if (link.msg.has_value()) rule.message = text(*link.msg, link.place);
    if (link.logdata.has_value()) rule.logdata = text(*link.logdata, link.place);
    std::vector<abi::RuleText> tags;
    for (const MacroText& tag : link.tags) tags.push_back(text(tag, link.place));
    rule.first_tag = static_cast<std::uint32_t>(program_.tags.size());
    rule.tag_count = static_cast<std::uint32_t>(tags.size());
    program_.tags.insert(program_.tags.end(), tags.begin(), tags.end());
  }

  static void disruptive(const seclang::Rule& source, abi::Rule& rule) {
    switch (source.disruptive) {
      case seclang::Disruptive::kNone:
        break;
      case seclang::Disruptive::kPass:
        rule.flags |= abi::kRulePass;
        break;
      case seclang::Disruptive::kRedirect:
        rule.flags |= abi::kRuleRedirect | abi::kRuleBlocks;
        break;
      case seclang::Disruptive::kDeny:
      case seclang::Disruptive::kDrop:
        rule.flags |= abi::kRuleBlocks;
        break;
      case seclang::Disruptive::kAllow:
      case seclang::Disruptive::kAllowPhase:
      case seclang::Disruptive::kAllowRequest:
        rule.flags |= abi::kRuleAllow;
        rule.allow_scope = source.disruptive == seclang::Disruptive::kAllow ? abi::AllowScope::kAll
                           : source.disruptive == seclang::Disruptive::kAllowPhase
                               ? abi::AllowScope::kPhase
                               : abi::AllowScope::kRequest;
        break;
    }
  }

  void lower_rule(const seclang::Rule& source, std::size_t source_index) {
    if (source.links.size() > kChainLinksMax) {
      return error(source.head().place, "a chain of more than 64 rules");
    }
    const auto starter = static_cast<std::uint32_t>(program_.rules.size());
    for (std::size_t i = 0; i < source.links.size(); ++i) {
      const Link& link = source.links[i];
      abi::Rule rule{};
      rule.id = source.id;
      rule.phase = source.phase;
      rule.starter = starter;
      rule.check = rule.argument_index = abi::kNone32;
      rule.severity = link.severity;
      rule.status = link.status;
      rule.source = static_cast<std::uint32_t>(source_index);
      // Places in LinkedRules for now; resolve_jumps() makes them places in the phase.
      rule.jump = link.jump.has_value() ? link.jump->to : abi::kNone32;
      const bool is_last = i + 1 == source.links.size();
      rule.next_link = is_last ? abi::kNone32 : starter + static_cast<std::uint32_t>(i) + 1;
      if (i > 0) rule.flags |= abi::kRuleLink;
      if (is_last && !source.complete) rule.flags |= abi::kRuleUnfinished;
      if (!source.log) rule.flags |= abi::kRuleNolog;
      if (folded_.deferred[source_index]) rule.flags |= abi::kRuleDeferred;
      if (link.capture) rule.flags |= abi::kRuleCapture;
      if (link.multi_match) rule.flags |= abi::kRuleMultiMatch;
      if (!link.unconditional) {
        rule.flags |= abi::kRuleHasOperator;
        rule.first_target = static_cast<std::uint32_t>(program_.targets.size());
        for (const seclang::Target& each : link.targets) target(each);
        rule.target_count = static_cast<std::uint32_t>(link.targets.size());
        operation(link, rule);
      }
      rule.node = node(link);
      link_actions(link, folded_.late[source_index], rule);
      link_texts(link, rule);
      if (i == 0) {
        disruptive(source, rule);
        rule.redirect = text(source.redirect, link.place);
        rule.version = strings_.add(source.ver);
        rule.revision = strings_.add(source.rev);
        if (!link.unconditional && !folded_.deferred[source_index]) {
          checks_.push_back({starter, &link});
        }
      }
      program_.rules.push_back(rule);
    }
    program_.phases[source.phase - 1].push_back(starter);
  }

  /// From indices into the source's rules to positions in the phase: the first rule of it that is
  /// not before the wanted one.
  void resolve_jumps() {
    for (abi::Rule& rule : program_.rules) {
      if (rule.jump == abi::kNone32) continue;
      const auto& list = program_.phases[rule.phase - 1];
      const auto at = std::find_if(list.begin(), list.end(), [&](std::uint32_t index) {
        return program_.rules[index].source >= rule.jump;
      });
      rule.jump = static_cast<std::uint32_t>(at - list.begin());
    }
  }

  const Folded& folded_;
  const LinkedRules& source_;
  StringsBuilder& strings_;
  config::Diagnostics& diagnostics_;
  Program& program_;
  std::vector<LoweredCheck> checks_;
  std::unordered_map<std::string, std::uint16_t> slots_;
  std::map<std::pair<std::string, bool>, std::uint32_t> regexes_;
  std::map<std::pair<std::uint16_t, abi::TransformId>, std::uint16_t> nodes_;
  std::unordered_map<std::string, std::uint32_t> phrase_sets_;
};

}  // namespace

std::vector<LoweredCheck> lower(const Folded& folded, StringsBuilder& strings,
                                config::Diagnostics& diagnostics, Program& program) {
  return Lowerer(folded, strings, diagnostics, program).run();
}

}  // namespace sluice::compile
