// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "controlplane/seclang/ast.h"
#include "controlplane/seclang/lexer.h"

/// The steps of linking, in the order they run.
namespace sluice::seclang {

/// Reads files with everything they include into one list of nodes, in order.
class Loader {
 public:
  Loader(LinkedRules& rules, SourceSet& sources, config::Diagnostics& diagnostics)
      : rules_(rules), sources_(sources), diagnostics_(diagnostics) {}

  /// A path or a glob from outside of any file.
  void load(const std::string& pattern);
  void load_text(const std::string& name, std::string_view text);
  [[nodiscard]] std::vector<Node> take_nodes() { return std::move(nodes_); }

 private:
  void load_file(const std::string& path, const Place* from, std::size_t depth);
  void parse_text(const std::string& path, std::string_view text, std::size_t depth);
  void include(const IncludeNode& node, const std::string& from, std::size_t depth);
  void complain(const Place* from, const std::string& path, const std::string& message);

  LinkedRules& rules_;
  SourceSet& sources_;
  config::Diagnostics& diagnostics_;
  std::vector<Node> nodes_;
};

/// A chain as it is written: a head and its links.
struct Chain {
  std::vector<RuleNode> nodes;
  bool complete = true;
  std::uint8_t phase = 1;
};

/// A marker: what stands behind it starts at this chain.
struct Marker {
  std::string name;
  std::size_t chain = 0;
  Place place;
};

/// Everything that the nodes of all files say, sorted by what it is about.
struct Program {
  std::vector<Chain> chains;
  std::vector<Marker> markers;
  std::array<std::optional<DefaultActionNode>, 6> defaults;  ///< by phase
  std::vector<RemoveNode> removals;
  std::vector<UpdateTargetNode> target_updates;
  std::vector<UpdateActionNode> action_updates;
  std::vector<SettingNode> settings;
};

/// Joins chains and sorts nodes. Reports duplicate ids, rules without an id, disruptive actions on
/// links and default actions that contradict each other.
Program sort_nodes(std::vector<Node> nodes, Reporter& reporter);

/// SecRuleUpdateTarget* and SecRuleUpdateActionById.
void apply_updates(Program& program, Reporter& reporter);

/// Which chains SecRuleRemove* takes out. Removals that name nothing are warned about.
std::vector<bool> find_removed(const Program& program, Reporter& reporter);

/// Exclusions of one list attached to the targets of the same list.
std::vector<Target> resolve_targets(const std::vector<TargetNode>& nodes);

/// SecRuleEngine and so on. Files are read here.
void apply_settings(const std::vector<SettingNode>& nodes, SourceSet& sources, Reporter& reporter,
                    LinkedRules& rules);

/// The text of a file that a rule or setting names, as an index into rules.data: beside the file
/// that names it, else from the working directory.
std::optional<std::uint32_t> read_data(const std::string& path, const Place& place,
                                       SourceSet& sources, Reporter& reporter, LinkedRules& rules);

/// Rules that an unconditional action in front of them always skips, or after which they can never
/// run: errors with what to do; warnings where the engine's mode or a ctl may take that action out.
/// O(rules log rules), and the controls once for each such action.
void report_unreachable(const LinkedRules& rules, Reporter& reporter);

/// Persistent collections that rules use and that none gives a key.
void report_unkeyed_collections(const LinkedRules& rules, Reporter& reporter);

}  // namespace sluice::seclang
