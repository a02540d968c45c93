// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/image_check.h"

#include <bit>
#include <span>

#include "dataplane/abi/actions.h"
#include "dataplane/abi/operators.h"
#include "dataplane/abi/transforms.h"
#include "dataplane/abi/variables.h"
#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

using abi::ImageError;

ImageError read_layout(base::Bytes image, ImageLayout& layout) {
  if (image.size() < sizeof(abi::ImageHeader)) return ImageError::kTooShort;
  if (image.size() > abi::kImageBytesMax) return ImageError::kTooLarge;
  const auto* header = reinterpret_cast<const abi::ImageHeader*>(image.data());
  if (header->magic != abi::kImageMagic) return ImageError::kMagic;
  if (header->abi_version != abi::kAbiVersion) return ImageError::kWrongAbi;
  if (header->image_bytes != image.size()) return ImageError::kTooShort;
  if (header->section_count > abi::kSectionsMax) return ImageError::kSection;
  layout.header = header;
  for (std::uint32_t i = 0; i < header->section_count; ++i) {
    const abi::Section& section = header->sections[i];
    if (section.offset % abi::kSectionAlignment != 0 || section.offset < sizeof(abi::ImageHeader) ||
        section.offset > image.size() || section.bytes > image.size() - section.offset) {
      return ImageError::kSection;
    }
    const abi::Section** place = nullptr;
    switch (static_cast<abi::SectionType>(section.type)) {
      case abi::SectionType::kStrings:
        place = &layout.strings;
        break;
      case abi::SectionType::kRules:
        place = &layout.rules;
        break;
      case abi::SectionType::kScans:
        place = &layout.scans;
        break;
      case abi::SectionType::kPolicy:
      case abi::SectionType::kSources:
        continue;
    }
    if (place == nullptr || *place != nullptr) return ImageError::kSection;
    *place = &section;
  }
  if (layout.strings == nullptr) return ImageError::kSection;
  return ImageError::kNone;
}

namespace {

/// Walks the rules section once. `good` turns false at the first thing that does not fit; reading
/// goes on over checked arrays only.
class ProgramChecker {
 public:
  ProgramChecker(base::Bytes image, const ImageLayout& layout) : image_(image), layout_(layout) {}

  ImageError run() {
    const abi::Section& section = *layout_.rules;
    if (section.bytes < sizeof(abi::RulesetHeader)) return ImageError::kRules;
    header_ = reinterpret_cast<const abi::RulesetHeader*>(image_.data() + section.offset);
    if (header_->version != abi::kRulesetVersion) return ImageError::kWrongAbi;
    find_arrays();
    if (!good_) return ImageError::kOffset;
    check_texts();
    check_rules();
    check_scans();
    check_phases();
    check_settings();
    return good_ ? ImageError::kNone : ImageError::kRules;
  }

 private:
  void require(bool condition) { good_ = good_ && condition; }

  template <typename T>
  std::span<const T> take(abi::Span32 span) {
    const abi::Section& section = *layout_.rules;
    const std::uint64_t bytes = std::uint64_t{span.count} * sizeof(T);
    if (span.offset % alignof(T) != 0 || span.offset < section.offset ||
        span.offset > section.offset + section.bytes ||
        bytes > section.offset + section.bytes - span.offset) {
      good_ = false;
      return {};
    }
    return {reinterpret_cast<const T*>(image_.data() + span.offset), span.count};
  }
  void text(abi::StringRef ref) {
    require(ref.offset <= layout_.strings->bytes &&
            ref.bytes <= layout_.strings->bytes - ref.offset);
  }
  void range(std::uint32_t first, std::uint32_t count, std::size_t size) {
    require(first <= size && count <= size - first);
  }
  static bool index_or_none(std::uint32_t index, std::size_t size) {
    return index == abi::kNone32 || index < size;
  }
  static bool slot_or_none(std::uint16_t slot, std::size_t size) {
    return slot == abi::kNone16 || slot < size;
  }
  void rule_text(abi::RuleText text) { range(text.first_part, text.part_count, texts_.size()); }

  void find_arrays() {
    rules_ = take<abi::Rule>(header_->rules);
    targets_ = take<abi::RuleTarget>(header_->targets);
    exclusions_ = take<abi::RuleExclusion>(header_->exclusions);
    actions_ = take<abi::RuleAction>(header_->actions);
    texts_ = take<abi::TextPart>(header_->texts);
    tags_ = take<abi::RuleText>(header_->tags);
    nodes_ = take<abi::TransformNode>(header_->nodes);
    regexes_ = take<abi::RegexSpec>(header_->regexes);
    regex_needs_ = take<abi::RegexNeed>(header_->regex_needs);
    phrase_sets_ = take<abi::PhraseSet>(header_->phrase_sets);
    phrases_ = take<abi::StringRef>(header_->phrases);
    ip_sets_ = take<abi::IpSetSpec>(header_->ip_sets);
    byte_ranges_ = take<ByteRange>(header_->byte_ranges);
    patterns_ = take<abi::ScanPattern>(header_->patterns);
    uses_ = take<abi::PatternUse>(header_->uses);
    rows_ = take<abi::ScanRow>(header_->rows);
    row_classes_ = take<std::uint64_t>(header_->row_classes);
    groups_ = take<abi::ScanRows>(header_->groups);
    keys_ = take<abi::ScanRows>(header_->keys);
    group_classes_ = take<std::uint64_t>(header_->group_classes);
    sets_ = take<abi::ScanSet>(header_->sets);
    leads_ = take<abi::ScanLead>(header_->leads);
    node_leads_ = take<std::uint16_t>(header_->node_leads);
    key_grams_ = take<std::uint64_t>(header_->key_grams);
    set_grams_ = take<std::uint64_t>(header_->set_grams);
    set_patterns_ = take<std::uint64_t>(header_->set_patterns);
    zones_ = take<abi::ScanZone>(header_->zones);
    databases_ = take<abi::ScanDatabase>(header_->databases);
    check_rules_ = take<std::uint32_t>(header_->check_rules);
    slots_ = take<abi::TxSlot>(header_->slots);
    if (header_->unicode_map != 0) take<abi::UnicodeMap>({header_->unicode_map, 1, 0});
  }

  void check_texts() {
    for (const abi::TextPart& part : texts_) {
      text(part.text);
      require(part.variable == abi::kNone16 || part.variable < abi::kVariableCount);
      require(slot_or_none(part.slot, slots_.size()));
    }
    for (const abi::RuleText& tag : tags_) rule_text(tag);
    for (const abi::StringRef& phrase : phrases_) text(phrase);
    for (const abi::RegexSpec& regex : regexes_) {
      text(regex.pattern);
      range(regex.first_need, regex.need_count, regex_needs_.size());
    }
    for (const abi::RegexNeed& need : regex_needs_) {
      for (const std::uint16_t pair : need.grams) require(pair < abi::kGramCount);
    }
    require(slots_.size() < abi::kNone16);
    for (const abi::TxSlot& slot : slots_) {
      text(slot.key);
      text(slot.initial);
    }
    require(!nodes_.empty() && nodes_.size() <= abi::kTransformNodesMax);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      require(i == 0 || nodes_[i].parent < i);
      require(nodes_[i].transform < abi::kTransformCount);
    }
  }

  void check_exclusion(const abi::RuleExclusion& exclusion) {
    text(exclusion.key);
    require(exclusion.selector <= abi::Selector::kRegex);
    require(exclusion.selector == abi::Selector::kRegex
                ? exclusion.regex < regexes_.size()
                : index_or_none(exclusion.regex, regexes_.size()));
  }
  void check_target(const abi::RuleTarget& target) {
    text(target.written);
    text(target.key);
    require(target.variable < abi::kVariableCount && target.selector <= abi::Selector::kRegex);
    require(target.selector == abi::Selector::kRegex
                ? target.regex < regexes_.size()
                : index_or_none(target.regex, regexes_.size()));
    range(target.first_exclusion, target.exclusion_count, exclusions_.size());
    require(slot_or_none(target.slot, slots_.size()));
  }
  void check_action(const abi::RuleAction& action) {
    require(action.action < abi::kRuleActionCount);
    require(action.variable == abi::kNone16 || action.variable < abi::kVariableCount);
    require(slot_or_none(action.slot, slots_.size()));
    rule_text(action.key);
    rule_text(action.value);
    text(action.target_key);
    require(index_or_none(action.regex, regexes_.size()));
    require(action.selector <= abi::Selector::kRegex);
    require(action.selector != abi::Selector::kRegex || action.regex < regexes_.size());
    const auto id = static_cast<abi::ActionId>(action.action);
    if (id == abi::ActionId::kCtl) require(action.operation < abi::kControlCount);
    if (id == abi::ActionId::kSetVar) {
      require(action.operation <= static_cast<std::uint8_t>(abi::SetOperation::kDelete));
    }
    require(id == abi::ActionId::kCtl || action.variable < abi::kVariableCount);
  }

  void check_rules() {
    for (const abi::RuleExclusion& exclusion : exclusions_) check_exclusion(exclusion);
    for (const abi::RuleTarget& target : targets_) check_target(target);
    for (const abi::RuleAction& action : actions_) check_action(action);
    for (std::size_t i = 0; i < rules_.size() && good_; ++i) check_rule(rules_[i], i);
  }

  void check_rule(const abi::Rule& rule, std::size_t index) {
    require(rule.phase >= 1 && rule.phase <= abi::kPhaseCount);
    require(rule.operator_id < abi::kOperatorCount);
    require(rule.allow_scope <= abi::AllowScope::kRequest);
    require(rule.node < nodes_.size());
    require(index_or_none(rule.check, header_->check_count));
    require((rule.flags & abi::kRuleScanned) == 0 || rule.check != abi::kNone32);
    range(rule.first_target, rule.target_count, targets_.size());
    range(rule.first_set, rule.set_count, actions_.size());
    range(rule.first_after, rule.after_count, actions_.size());
    range(rule.first_tag, rule.tag_count, tags_.size());
    require(rule.starter < rules_.size());
    // Links lie behind their starters, so that walking a chain ends.
    require(rule.next_link == abi::kNone32 ||
            (rule.next_link > index && rule.next_link < rules_.size()));
    for (const abi::RuleText& each : {rule.argument, rule.message, rule.logdata, rule.redirect}) {
      rule_text(each);
    }
    text(rule.version);
    text(rule.revision);
    if ((rule.flags & abi::kRuleHasOperator) != 0) check_operator(rule);
  }

  void check_operator(const abi::Rule& rule) {
    const auto id = static_cast<abi::OperatorId>(rule.operator_id);
    require(rule.operator_id < abi::kOperatorCount);
    if (rule.operator_id >= abi::kOperatorCount) return;
    require(abi::operator_info(id).support != abi::OperatorSupport::kRefused);
    switch (abi::operator_info(id).argument) {
      case abi::OperatorArgument::kRegex:
        require(rule.argument_index < regexes_.size() ||
                (rule.argument_index == abi::kNone32 && rule.argument.part_count > 0 &&
                 (id == abi::OperatorId::kRx || id == abi::OperatorId::kRxGlobal)));
        break;
      case abi::OperatorArgument::kPhrases:
      case abi::OperatorArgument::kFile:
        if (id == abi::OperatorId::kPm || id == abi::OperatorId::kPmFromFile) {
          require(rule.argument_index < phrase_sets_.size());
        } else {
          require(rule.argument_index < ip_sets_.size());
        }
        break;
      case abi::OperatorArgument::kNetworks:
        require(rule.argument_index < ip_sets_.size());
        break;
      case abi::OperatorArgument::kRanges:
        require(rule.argument_index < byte_ranges_.size());
        break;
      case abi::OperatorArgument::kNothing:
      case abi::OperatorArgument::kText:
      case abi::OperatorArgument::kNumber:
      case abi::OperatorArgument::kOther:
        break;
    }
  }

  void check_scans() {
    for (const abi::PhraseSet& set : phrase_sets_) {
      range(set.first_phrase, set.phrase_count, phrases_.size());
      require(index_or_none(set.database, databases_.size()));
    }
    for (const abi::IpSetSpec& set : ip_sets_) {
      take<Ipv4Range>(set.v4);
      take<Ipv6Range>(set.v6);
    }
    require(patterns_.size() <= abi::kScanPatternsMax);
    for (const abi::ScanPattern& pattern : patterns_) {
      range(pattern.first_use, pattern.use_count, uses_.size());
      require(index_or_none(pattern.regex, regexes_.size()));
      require(pattern.kind <= static_cast<std::uint8_t>(abi::ScanKind::kXss));
      require(pattern.kind != static_cast<std::uint8_t>(abi::ScanKind::kHyperscan) ||
              pattern.database < databases_.size());
      require(pattern.exact == 0 ||
              (pattern.exact == 1 && pattern.regex != abi::kNone32 &&
               pattern.kind == static_cast<std::uint8_t>(abi::ScanKind::kHyperscan)));
      require(is_lead(pattern.lead));
    }
    for (const abi::ScanLead& lead : leads_) require(lead.count <= abi::kLeadBytes);
    for (const abi::PatternUse& use : uses_) {
      require(use.node < nodes_.size() && use.check < header_->check_count);
    }
    require(check_rules_.size() == header_->check_count && header_->check_count < abi::kNone16);
    for (const abi::ScanRow& row : rows_) {
      require(row.pattern < patterns_.size());
      for (const std::uint16_t pair : row.grams) require(pair < abi::kGramCount);
    }
    require(rows_.size() == row_classes_.size() && groups_.size() == group_classes_.size());
    for (const auto& list : {groups_, keys_}) {
      for (const abi::ScanRows& each : list) range(each.first_row, each.row_count, rows_.size());
    }
    // A memo names a set in 16 bits: two sets must not be one to it.
    require(sets_.size() < abi::kNone16);
    require(groups_.size() <= abi::kScanGroupsMax);
    require(sets_.empty() || key_grams_.size() == abi::kGramWords);
    require(set_grams_.size() == sets_.size() * abi::kGramWords);
    require(set_patterns_.size() == sets_.size() * abi::pattern_words(patterns_.size()));
    check_nodes();
    // Each key has its pair.
    std::size_t bits = 0;
    for (const std::uint64_t word : key_grams_)
      bits += static_cast<std::size_t>(std::popcount(word));
    require(bits == keys_.size());
    for (const abi::ScanDatabase& database : databases_) check_database(database);
    for (std::size_t i = 0; i < sets_.size() && good_; ++i) check_set(sets_[i], i);
    std::uint16_t last = 0;
    for (const abi::ScanZone& zone : zones_) {
      text(zone.key);
      require(zone.set < sets_.size() && zone.zone < 2 * abi::kVariableCount);
      require(zone.zone >= last);
      last = zone.zone;
    }
  }

  [[nodiscard]] bool is_lead(std::uint16_t index) const {
    return index == abi::kNone16 || index < leads_.size();
  }

  void check_database(const abi::ScanDatabase& database) {
    if (layout_.scans == nullptr) return require(false);
    const abi::Section& scans = *layout_.scans;
    require(database.offset % abi::kSectionAlignment == 0 && database.offset >= scans.offset &&
            database.offset <= scans.offset + scans.bytes &&
            database.bytes <= scans.offset + scans.bytes - database.offset);
  }

  void check_nodes() {
    require(sets_.empty() || node_leads_.size() == nodes_.size());
    for (const std::uint16_t lead : node_leads_) require(is_lead(lead));
    if (!good_) return;
    for (const abi::ScanSet& set : sets_) check_parents(set);
  }

  /// A parent is computed before its children, and always: it is in the set, and has no lead.
  void check_parents(const abi::ScanSet& set) {
    const auto has = [&](std::size_t node) { return (set.nodes[node / 64] >> node % 64 & 1) != 0; };
    for (std::size_t node = 1; node < abi::kTransformNodesMax && good_; ++node) {
      if (!has(node)) continue;
      require(node < nodes_.size());
      if (!good_) return;
      const std::size_t parent = nodes_[node].parent;
      require(parent < node && has(parent) && node_leads_[parent] == abi::kNone16);
    }
  }

  void check_set(const abi::ScanSet& set, std::size_t index) {
    for (std::size_t word = 0; word < abi::kGramWords; ++word) {
      require((set_grams_[index * abi::kGramWords + word] & ~key_grams_[word]) == 0);
    }
    for (std::size_t group = groups_.size(); group < abi::kScanGroupsMax; ++group) {
      require((set.groups[group / 64] >> group % 64 & 1) == 0);
    }
  }

  void check_phases() {
    for (std::uint32_t phase = 0; phase < abi::kPhaseCount; ++phase) {
      const auto list = take<std::uint32_t>(header_->phases[phase]);
      for (const std::uint32_t index : list) require(index < rules_.size());
    }
  }

  void check_settings() {
    const abi::RulesetSettings& settings = header_->settings;
    require(settings.engine <= abi::EngineMode::kOn);
    text(settings.web_app_id);
    text(settings.geo_database);
    for (const abi::StringRef& type : take<abi::StringRef>(settings.response_mime_types)) {
      text(type);
    }
  }

  base::Bytes image_;
  const ImageLayout& layout_;
  const abi::RulesetHeader* header_ = nullptr;
  bool good_ = true;
  std::span<const abi::Rule> rules_;
  std::span<const abi::RuleTarget> targets_;
  std::span<const abi::RuleExclusion> exclusions_;
  std::span<const abi::RuleAction> actions_;
  std::span<const abi::TextPart> texts_;
  std::span<const abi::RuleText> tags_;
  std::span<const abi::TransformNode> nodes_;
  std::span<const abi::RegexSpec> regexes_;
  std::span<const abi::RegexNeed> regex_needs_;
  std::span<const abi::PhraseSet> phrase_sets_;
  std::span<const abi::StringRef> phrases_;
  std::span<const abi::IpSetSpec> ip_sets_;
  std::span<const ByteRange> byte_ranges_;
  std::span<const abi::ScanPattern> patterns_;
  std::span<const abi::PatternUse> uses_;
  std::span<const abi::ScanRow> rows_;
  std::span<const abi::ScanRows> groups_, keys_;
  std::span<const std::uint64_t> row_classes_, group_classes_, key_grams_, set_grams_,
      set_patterns_;
  std::span<const abi::ScanSet> sets_;
  std::span<const std::uint16_t> node_leads_;
  std::span<const abi::ScanLead> leads_;
  std::span<const abi::ScanZone> zones_;
  std::span<const abi::ScanDatabase> databases_;
  std::span<const std::uint32_t> check_rules_;
  std::span<const abi::TxSlot> slots_;
};

}  // namespace

ImageError check_program(base::Bytes image, const ImageLayout& layout) {
  if (layout.rules == nullptr) return ImageError::kNone;
  return ProgramChecker(image, layout).run();
}

}  // namespace sluice::rules
