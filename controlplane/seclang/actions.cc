// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

using abi::ActionId;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::vector<std::string_view> action_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(abi::kRuleActions));
  for (const abi::ActionInfo& info : abi::kRuleActions) names.push_back(info.name);
  return names;
}

std::vector<std::string_view> transform_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(abi::kTransformNames));
  for (const abi::TransformName& info : abi::kTransformNames) names.push_back(info.name);
  return names;
}

/// One entry of the list, split but not understood.
struct Entry {
  PlacedText name, value;
  bool has_value = false;
};

/// Splits at commas outside single quotes.
class EntrySplitter {
 public:
  EntrySplitter(const PlacedText& list, Reporter& reporter)
      : list_(list), text_(list.text()), reporter_(reporter) {}

  /// False at the end of the list.
  bool next(std::optional<Entry>& entry) {
    entry.reset();
    skip_blanks();
    if (at_ >= text_.size()) return false;
    if (text_[at_] == ',') {
      reporter_.error(list_.at(at_), "expected an action in front of the comma");
      ++at_;
      return true;
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ':' && !is_blank(text_[at_])) {
      ++at_;
    }
    const PlacedText name = list_.part(start, at_);
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == ':') {
      ++at_;
      skip_blanks();
      const auto value = take_value();
      if (value) entry = Entry{name, *value, true};
    } else {
      entry = Entry{name, list_.part(at_, at_), false};
    }
    expect_comma(entry);
    return true;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }

  std::optional<PlacedText> take_value() {
    if (at_ < text_.size() && text_[at_] == '\'') {
      const std::size_t open = at_++;
      const std::size_t start = at_;
      while (at_ < text_.size() && text_[at_] != '\'') at_ += text_[at_] == '\\' ? 2 : 1;
      if (at_ >= text_.size()) {
        at_ = text_.size();
        reporter_.error(list_.at(open), "the value that opens here is not closed (expected ')");
        return std::nullopt;
      }
      return list_.part(start, at_++);
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != ',') ++at_;
    return list_.part(start, at_).trimmed();
  }

  void expect_comma(std::optional<Entry>& entry) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] != ',') {
      reporter_.error(list_.at(at_), "expected a comma between actions");
      entry.reset();
      while (at_ < text_.size() && text_[at_] != ',') ++at_;
    }
    if (at_ < text_.size()) ++at_;
  }

  const PlacedText& list_;
  std::string_view text_;
  Reporter& reporter_;
  std::size_t at_ = 0;
};

class ActionParser {
 public:
  ActionParser(ActionList& list, Reporter& reporter) : list_(list), reporter_(reporter) {}

  void take(const Entry& entry) {
    const auto id = abi::find_action(entry.name.text());
    if (!id) {
      reporter_.error(entry.name.at(0), "unknown action " + std::string(entry.name.text()) +
                                            config::suggestion(entry.name.text(), action_names()));
      return;
    }
    if (!check(*id, entry)) return;
    const abi::ActionInfo& info = abi::action_info(*id);
    if (info.group == abi::ActionGroup::kDisruptive) {
      take_disruptive(*id, entry);
    } else if (info.group == abi::ActionGroup::kMetadata) {
      take_metadata(*id, entry);
    } else {
      take_effect(*id, entry);
    }
  }

 private:
  /// Support and the number of arguments.
  bool check(ActionId id, const Entry& entry) {
    const abi::ActionInfo& info = abi::action_info(id);
    const std::string name(info.name);
    if (info.support == abi::ActionSupport::kRefused) {
      reporter_.error(entry.name.at(0), "the action " + name + " is not supported: " +
                                            std::string(abi::action_note(id)));
      return false;
    }
    if (info.support == abi::ActionSupport::kNoted) {
      reporter_.warning(entry.name.at(0), "the action " + name + " has no effect: " +
                                              std::string(abi::action_note(id)));
    }
    if (info.argument == abi::ActionArgument::kRequired &&
        (!entry.has_value || entry.value.size() == 0)) {
      reporter_.error(entry.name.at(0),
                      "the action " + name + " needs a value (expected " + name + ":...)");
      return false;
    }
    if (info.argument == abi::ActionArgument::kNone && entry.has_value) {
      reporter_.error(entry.value.at(0), "the action " + name + " takes no value");
      return false;
    }
    return true;
  }

  void fail(const Entry& entry, const std::string& expected) {
    reporter_.error(entry.value.at(0),
                    "expected " + expected + ", got '" + std::string(entry.value.text()) + "'");
  }

  std::optional<std::uint64_t> number(const Entry& entry, std::uint64_t least, std::uint64_t most,
                                      const char* expected) {
    const auto value = parse_number(entry.value.text(), most);
    if (value && *value >= least) return value;
    fail(entry, expected);
    return std::nullopt;
  }

  void take_disruptive(ActionId id, const Entry& entry) {
    DisruptiveNode node;
    node.id = id;
    node.place = entry.name.at(0);
    if (id == ActionId::kPass) node.kind = Disruptive::kPass;
    if (id == ActionId::kDeny) node.kind = Disruptive::kDeny;
    if (id == ActionId::kDrop) node.kind = Disruptive::kDrop;
    if (id == ActionId::kAllow) {
      node.kind = Disruptive::kAllow;
      const std::string_view scope = entry.value.text();
      if (abi::equal_ignoring_case(scope, "phase")) {
        node.kind = Disruptive::kAllowPhase;
      } else if (abi::equal_ignoring_case(scope, "request")) {
        node.kind = Disruptive::kAllowRequest;
      } else if (entry.has_value) {
        return fail(entry, "allow, allow:phase or allow:request");
      }
    }
    if (id == ActionId::kRedirect) {
      node.kind = Disruptive::kRedirect;
      auto url = parse_macros(entry.value, reporter_);
      if (!url) return;
      node.redirect = std::move(*url);
    }
    list_.disruptive = std::move(node);
  }

  void take_metadata(ActionId id, const Entry& entry) {
    if (id == ActionId::kMultiMatch) {
      list_.multi_match = true;
    } else if (id == ActionId::kCapture) {
      list_.capture = true;
    } else if (id == ActionId::kTransform) {
      take_transform(entry);
    } else if (id == ActionId::kMsg || id == ActionId::kLogData || id == ActionId::kTag) {
      take_text(id, entry);
    } else if (id == ActionId::kRev) {
      list_.rev = entry.value.text();
    } else if (id == ActionId::kVer) {
      list_.ver = entry.value.text();
    } else if (id != ActionId::kXmlns) {
      take_number(id, entry);
    }
  }

  void take_number(ActionId id, const Entry& entry) {
    if (id == ActionId::kId) {
      list_.id_place = entry.value.at(0);
      const auto value = number(entry, 1, UINT32_MAX, "an id from 1 to 4294967295");
      if (value) list_.id = static_cast<std::uint32_t>(*value);
    } else if (id == ActionId::kPhase) {
      take_phase(entry);
    } else if (id == ActionId::kSeverity) {
      take_severity(entry);
    } else {
      const auto value = number(entry, 0, 9, "a number from 0 to 9");
      if (!value) return;
      (id == ActionId::kMaturity ? list_.maturity : list_.accuracy) =
          static_cast<std::uint8_t>(*value);
    }
  }

  void take_phase(const Entry& entry) {
    list_.phase_place = entry.value.at(0);
    const std::string_view text = entry.value.text();
    if (abi::equal_ignoring_case(text, "request")) {
      list_.phase = 2;
    } else if (abi::equal_ignoring_case(text, "response")) {
      list_.phase = 4;
    } else if (abi::equal_ignoring_case(text, "logging")) {
      list_.phase = 5;
    } else if (const auto value =
                   number(entry, 1, 5, "a phase from 1 to 5, request, response or logging")) {
      list_.phase = static_cast<std::uint8_t>(*value);
    }
  }

  void take_severity(const Entry& entry) {
    static constexpr std::string_view kNames[] = {"EMERGENCY", "ALERT",  "CRITICAL", "ERROR",
                                                  "WARNING",   "NOTICE", "INFO",     "DEBUG"};
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if (!abi::equal_ignoring_case(entry.value.text(), kNames[i])) continue;
      list_.severity = static_cast<std::uint8_t>(i);
      return;
    }
    const auto value = number(entry, 0, 7, "a severity from 0 to 7 or EMERGENCY to DEBUG");
    if (value) list_.severity = static_cast<std::uint8_t>(*value);
  }

  void take_text(ActionId id, const Entry& entry) {
    auto text = parse_macros(entry.value, reporter_);
    if (!text) return;
    if (id == ActionId::kMsg) list_.msg = std::move(*text);
    if (id == ActionId::kLogData) list_.logdata = std::move(*text);
    if (id == ActionId::kTag) list_.tags.push_back(std::move(*text));
  }

  void take_transform(const Entry& entry) {
    const auto id = abi::find_transform(entry.value.text());
    if (!id) {
      reporter_.error(entry.value.at(0),
                      "unknown transformation " + std::string(entry.value.text()) +
                          config::suggestion(entry.value.text(), transform_names()));
      return;
    }
    if (*id == abi::TransformId::kNone) list_.none_place = entry.name.at(0);
    list_.transforms.push_back(*id);
  }

  void take_effect(ActionId id, const Entry& entry) {
    switch (id) {
      case ActionId::kLog:
        return list_.logs.push_back(LogSwitch::kLog);
      case ActionId::kNoLog:
        return list_.logs.push_back(LogSwitch::kNoLog);
      case ActionId::kAuditLog:
        return list_.logs.push_back(LogSwitch::kAuditLog);
      case ActionId::kNoAuditLog:
        return list_.logs.push_back(LogSwitch::kNoAuditLog);
      case ActionId::kChain:
        list_.chain = true;
        list_.chain_place = entry.name.at(0);
        return;
      case ActionId::kSkip:
        if (const auto count = number(entry, 1, 1'000'000, "how many rules to skip, 1 or more")) {
          list_.jump = JumpNode{static_cast<std::uint32_t>(*count), {}, entry.value.at(0)};
        }
        return;
      case ActionId::kSkipAfter:
        list_.jump = JumpNode{0, std::string(entry.value.text()), entry.value.at(0)};
        return;
      case ActionId::kStatus:
        if (const auto status = number(entry, 100, 599, "a status from 100 to 599")) {
          list_.status = static_cast<std::uint16_t>(*status);
          list_.status_place = entry.value.at(0);
        }
        return;
      default:
        return take_stored(id, entry);
    }
  }

  void take_stored(ActionId id, const Entry& entry) {
    if (id == ActionId::kSetVar) {
      if (auto set = parse_set_variable(entry.value, reporter_)) {
        list_.set_variables.push_back(std::move(*set));
      }
    } else if (id == ActionId::kExpireVar) {
      if (auto expire = parse_expire_variable(entry.value, reporter_)) {
        list_.effects.emplace_back(std::move(*expire));
      }
    } else if (id == ActionId::kInitCol) {
      if (auto init = parse_init_collection(entry.value, reporter_)) {
        list_.effects.emplace_back(std::move(*init));
      }
    } else if (id == ActionId::kCtl) {
      auto control = parse_control(entry.value, reporter_);
      if (control && abi::control_info(control->id).support == abi::ActionSupport::kRuns) {
        list_.effects.emplace_back(std::move(*control));
      }
    } else if (id == ActionId::kSetSid || id == ActionId::kSetUid || id == ActionId::kSetRsc) {
      auto key = parse_macros(entry.value, reporter_);
      if (!key) return;
      const abi::VariableId collection = id == ActionId::kSetSid   ? abi::VariableId::kSession
                                         : id == ActionId::kSetUid ? abi::VariableId::kUser
                                                                   : abi::VariableId::kResource;
      list_.effects.emplace_back(InitCollection{collection, std::move(*key), entry.name.at(0)});
    }
  }

  ActionList& list_;
  Reporter& reporter_;
};

}  // namespace

ActionList parse_actions(const PlacedText& list, Reporter& reporter) {
  ActionList actions;
  actions.place = list.at(0);
  EntrySplitter splitter(list, reporter);
  ActionParser parser(actions, reporter);
  std::optional<Entry> entry;
  while (splitter.next(entry)) {
    if (entry) parser.take(*entry);
  }
  return actions;
}

}  // namespace sluice::seclang
