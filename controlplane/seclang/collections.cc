// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <optional>

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

using abi::VariableId;

bool is_persistent(VariableId variable) {
  return abi::variable_info(variable).kind == abi::VariableKind::kPersistent;
}

/// Where the collection is first read or written, and whether some rule gives it a key.
struct Use {
  std::optional<Place> first;
  bool has_key = false;

  void note(const Place& place) {
    if (!first) first = place;
  }
};

using Uses = std::array<Use, abi::kVariableCount>;

void note_link(const Link& link, Uses& uses) {
  const auto use = [&](VariableId variable) -> Use& {
    return uses[static_cast<std::size_t>(variable)];
  };
  for (const Target& target : link.targets) {
    if (is_persistent(target.variable)) use(target.variable).note(target.place);
  }
  for (const SetVariable& set : link.set_variables) {
    if (is_persistent(set.collection)) use(set.collection).note(set.place);
  }
  for (const Effect& effect : link.effects) {
    if (const auto* expire = std::get_if<ExpireVariable>(&effect)) {
      use(expire->collection).note(expire->place);
    } else if (const auto* init = std::get_if<InitCollection>(&effect)) {
      use(init->collection).has_key = true;
    }
  }
}

}  // namespace

void report_unkeyed_collections(const LinkedRules& rules, Reporter& reporter) {
  Uses uses;
  for (const Rule& rule : rules.rules) {
    for (const Link& link : rule.links) note_link(link, uses);
  }
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const auto variable = static_cast<VariableId>(i);
    if (!uses[i].first || uses[i].has_key || variable == VariableId::kGlobal) continue;
    const std::string name(abi::variable_info(variable).name);
    reporter.warning(*uses[i].first, name +
                                         " is used, but no rule gives it a key (initcol, setsid, "
                                         "setuid, setrsc): all clients share one collection");
  }
}

}  // namespace sluice::seclang
