// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/values.h"
#include "dataplane/abi/limits.h"

namespace sluice::seclang {
namespace {

/// Index of the first `wanted` outside %{...}, or npos.
std::size_t find_outside_macros(std::string_view text, std::string_view wanted) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("%{")) {
      i = text.find('}', i);
      if (i == std::string_view::npos) return i;
    } else if (wanted.find(text[i]) != std::string_view::npos) {
      return i;
    }
  }
  return std::string_view::npos;
}

/// COLLECTION.key up to the text's end.
struct Member {
  abi::VariableId collection{};
  MacroText key;
};

std::optional<Member> parse_member(const PlacedText& text, Reporter& reporter) {
  const std::size_t dot = text.text().find_first_of(".:");
  const std::string_view name = text.text().substr(0, dot);
  const auto collection = abi::find_variable(name);
  const bool writable =
      collection && (abi::variable_info(*collection).kind == abi::VariableKind::kStore ||
                     abi::variable_info(*collection).kind == abi::VariableKind::kPersistent);
  if (!writable) {
    reporter.error(text.at(0),
                   "expected a collection that rules can write (tx, ip, global, "
                   "resource, session, user), got '" +
                       std::string(name) + "'");
    return std::nullopt;
  }
  if (dot == std::string_view::npos || dot + 1 == text.size()) {
    reporter.error(text.at(0), "expected " + std::string(name) + ".NAME");
    return std::nullopt;
  }
  auto key = parse_macros(text.part(dot + 1, text.size()), reporter);
  if (!key) return std::nullopt;
  return Member{*collection, std::move(*key)};
}

/// What can never be kept of a persistent collection is an error at load. False: it is one.
bool check_persistent_name(const Member& member, const Place& place, Reporter& reporter) {
  if (abi::variable_info(member.collection).kind != abi::VariableKind::kPersistent ||
      !member.key.is_constant() || member.key.constant().size() <= abi::kCollectionNameBytesMax) {
    return true;
  }
  reporter.error(place, "names in persistent collections have at most " +
                            std::to_string(abi::kCollectionNameBytesMax) + " bytes, this one has " +
                            std::to_string(member.key.constant().size()));
  return false;
}

std::vector<std::string_view> control_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(abi::kControls));
  for (const abi::ControlInfo& info : abi::kControls) names.push_back(info.name);
  return names;
}

/// The value of a ctl by the kind of its argument.
class ControlParser {
 public:
  ControlParser(Control& control, const PlacedText& value, Reporter& reporter)
      : control_(control), value_(value), text_(value.text()), reporter_(reporter) {}

  bool run() {
    switch (abi::control_info(control_.id).argument) {
      case abi::ControlArgument::kOnOff:
        return take_on_off();
      case abi::ControlArgument::kEngine:
        return take_engine();
      case abi::ControlArgument::kProcessor:
        return take_processor();
      case abi::ControlArgument::kIds:
        return take_ids(text_, value_);
      case abi::ControlArgument::kText:
        control_.text = text_;
        return true;
      case abi::ControlArgument::kIdsAndTarget:
      case abi::ControlArgument::kTextAndTarget:
        return take_with_target();
      case abi::ControlArgument::kNumber:
        return take_number();
      case abi::ControlArgument::kOther:
        return true;
    }
    return false;
  }

 private:
  bool fail(const PlacedText& at, const std::string& expected) {
    reporter_.error(at.at(0), "expected " + expected + ", got '" + std::string(at.text()) + "'");
    return false;
  }

  bool take_on_off() {
    const auto on = parse_on_off(text_);
    if (!on) return fail(value_, "On or Off");
    control_.on = *on;
    return true;
  }

  bool take_engine() {
    const auto mode = parse_engine_mode(text_);
    if (!mode) return fail(value_, "On, Off or DetectionOnly");
    control_.engine = *mode;
    return true;
  }

  bool take_processor() {
    static constexpr std::pair<std::string_view, BodyProcessor> kProcessors[] = {
        {"URLENCODED", BodyProcessor::kUrlencoded},
        {"MULTIPART", BodyProcessor::kMultipart},
        {"JSON", BodyProcessor::kJson},
        {"XML", BodyProcessor::kXml}};
    for (const auto& [name, processor] : kProcessors) {
      if (!abi::equal_ignoring_case(text_, name)) continue;
      control_.processor = processor;
      return true;
    }
    return fail(value_, "URLENCODED, MULTIPART, JSON or XML");
  }

  bool take_ids(std::string_view text, const PlacedText& at) {
    const auto range = parse_id_range(text);
    if (!range) return fail(at, "a rule id or a range such as 942000-942999");
    control_.first_id = range->first;
    control_.last_id = range->last;
    return true;
  }

  bool take_number() {
    const auto number = parse_number(text_, UINT64_MAX);
    if (!number) return fail(value_, "a number of bytes");
    control_.number = *number;
    return true;
  }

  bool take_with_target() {
    const std::size_t split = text_.find(';');
    if (split == std::string_view::npos) {
      return fail(value_, "a rule and a target with ; between them");
    }
    const PlacedText left = value_.part(0, split).trimmed();
    const bool by_id =
        abi::control_info(control_.id).argument == abi::ControlArgument::kIdsAndTarget;
    if (by_id && !take_ids(left.text(), left)) return false;
    if (!by_id) control_.text = left.text();
    const PlacedText right = value_.part(split + 1, value_.size()).trimmed();
    const std::vector<TargetNode> targets = parse_targets(right, reporter_);
    if (targets.empty()) return false;
    if (targets.size() > 1 || targets[0].exclude || targets[0].target.count) {
      return fail(right, "one target, without ! or &");
    }
    control_.target = targets[0].target;
    return true;
  }

  Control& control_;
  const PlacedText& value_;
  std::string_view text_;
  Reporter& reporter_;
};

}  // namespace

std::optional<SetVariable> parse_set_variable(const PlacedText& value, Reporter& reporter) {
  SetVariable set;
  set.place = value.at(0);
  std::size_t start = 0;
  if (value.text().starts_with('!')) {
    set.kind = SetVariable::Kind::kDelete;
    start = 1;
  }
  const std::size_t equals = find_outside_macros(value.text(), "=");
  const std::size_t name_end = equals == std::string_view::npos ? value.size() : equals;
  auto member = parse_member(value.part(start, name_end), reporter);
  if (!member || !check_persistent_name(*member, set.place, reporter)) return std::nullopt;
  set.collection = member->collection;
  set.key = std::move(member->key);
  if (equals == std::string_view::npos) {
    if (set.kind == SetVariable::Kind::kSet) set.value = literal_text("1");
    return set;
  }
  if (set.kind == SetVariable::Kind::kDelete) {
    reporter.error(value.at(equals), "a variable that is deleted (!) takes no value");
    return std::nullopt;
  }
  std::size_t from = equals + 1;
  const std::string_view sign = value.text().substr(from, 1);
  if (sign == "+" || sign == "-") {
    set.kind = sign == "+" ? SetVariable::Kind::kAdd : SetVariable::Kind::kSubtract;
    ++from;
    if (from == value.size()) {
      reporter.error(value.at(equals), "expected a number behind " + std::string(sign));
      return std::nullopt;
    }
  }
  auto text = parse_macros(value.part(from, value.size()), reporter);
  if (!text) return std::nullopt;
  set.value = std::move(*text);
  return set;
}

std::optional<ExpireVariable> parse_expire_variable(const PlacedText& value, Reporter& reporter) {
  const std::size_t equals = find_outside_macros(value.text(), "=");
  if (equals == std::string_view::npos) {
    reporter.error(value.at(0), "expected COLLECTION.NAME=SECONDS");
    return std::nullopt;
  }
  auto member = parse_member(value.part(0, equals), reporter);
  auto seconds = parse_macros(value.part(equals + 1, value.size()), reporter);
  if (!member || !seconds) return std::nullopt;
  if (abi::variable_info(member->collection).kind == abi::VariableKind::kStore) {
    reporter.error(value.at(0),
                   "expirevar is for persistent collections (ip, global, resource, session, user): "
                   "tx ends with its request");
    return std::nullopt;
  }
  if (seconds->is_constant() && !parse_number(seconds->constant(), UINT32_MAX)) {
    reporter.error(value.at(equals + 1),
                   "expected a number of seconds, got '" + std::string(seconds->constant()) + "'");
    return std::nullopt;
  }
  return ExpireVariable{member->collection, std::move(member->key), std::move(*seconds),
                        value.at(0)};
}

std::optional<InitCollection> parse_init_collection(const PlacedText& value, Reporter& reporter) {
  const std::size_t equals = find_outside_macros(value.text(), "=");
  const std::string_view name = value.text().substr(0, equals);
  const auto collection = abi::find_variable(name);
  if (equals == std::string_view::npos || !collection ||
      abi::variable_info(*collection).kind != abi::VariableKind::kPersistent) {
    reporter.error(value.at(0),
                   "expected ip=KEY, global=KEY, resource=KEY, session=KEY or user=KEY");
    return std::nullopt;
  }
  auto key = parse_macros(value.part(equals + 1, value.size()), reporter);
  if (!key) return std::nullopt;
  if (key->pieces.empty()) {
    reporter.error(value.at(0), "expected a key behind " + std::string(name) + "=");
    return std::nullopt;
  }
  return InitCollection{*collection, std::move(*key), value.at(0)};
}

std::optional<Control> parse_control(const PlacedText& value, Reporter& reporter) {
  const std::size_t equals = value.text().find('=');
  const std::string_view name = value.text().substr(0, equals);
  const auto id = abi::find_control(name);
  if (!id) {
    reporter.error(value.at(0),
                   "unknown ctl " + std::string(name) + config::suggestion(name, control_names()));
    return std::nullopt;
  }
  const abi::ControlInfo& info = abi::control_info(*id);
  const std::string note(abi::control_note(*id));
  if (info.support == abi::ActionSupport::kRefused) {
    reporter.error(value.at(0), "ctl:" + std::string(info.name) + " is not supported: " + note);
    return std::nullopt;
  }
  if (info.support == abi::ActionSupport::kNoted) {
    reporter.warning(value.at(0), "ctl:" + std::string(info.name) + " has no effect: " + note);
  }
  if (equals == std::string_view::npos || equals + 1 == value.size()) {
    reporter.error(value.at(0), "expected ctl:" + std::string(info.name) + "=VALUE");
    return std::nullopt;
  }
  Control control;
  control.id = *id;
  control.place = value.at(0);
  const PlacedText argument = value.part(equals + 1, value.size());
  if (!ControlParser(control, argument, reporter).run()) return std::nullopt;
  return control;
}

}  // namespace sluice::seclang
