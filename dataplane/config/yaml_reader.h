// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/config/diagnostics.h"

namespace sluice::config {

/// Reads a number in decimal. False on anything else.
bool parse_number(const std::string& text, std::uint64_t& into);

/// Reads one YAML file and collects every complaint about it as file:line:column: message, so that
/// one run shows them all. An absent node leaves the default in place.
class YamlReader {
 public:
  explicit YamlReader(std::string file) : file_(std::move(file)) {}

  /// The root; a complaint where the file cannot be read or is no YAML.
  YAML::Node load();
  /// The same for the file's text, where somebody else has read it.
  YAML::Node load_text(const std::string& text);
  void complain(const YAML::Node& node, const std::string& message);
  /// False when the node is absent, or no map (a complaint). Unknown keys are complaints that name
  /// the nearest known one; so are keys given twice.
  bool check_map(const YAML::Node& node, const std::string& what,
                 const std::vector<std::string_view>& known);
  void text(const YAML::Node& node, const std::string& what, std::string& into);
  void number(const YAML::Node& node, const std::string& what, std::uint64_t smallest,
              std::uint64_t largest, std::uint64_t& into);
  /// A size or duration with its unit (units.h).
  void size_bytes(const YAML::Node& node, const std::string& what, std::uint64_t& into);
  void duration_ns(const YAML::Node& node, const std::string& what, std::uint64_t& into);
  /// A list of names, made lower case.
  void names(const YAML::Node& node, const std::string& what, std::size_t count_max,
             std::vector<std::string>& into);
  template <typename T>
  void choice(const YAML::Node& node, const std::string& what,
              std::initializer_list<std::pair<std::string_view, T>> choices, T& into) {
    if (!node) return;
    std::vector<std::string_view> words;
    for (const auto& [word, value] : choices) {
      if (node.IsScalar() && node.Scalar() == word) {
        into = value;
        return;
      }
      words.push_back(word);
    }
    complain_choice(node, what, words);
  }

  [[nodiscard]] const Diagnostics& diagnostics() const { return diagnostics_; }
  /// One complaint a line, in the order of the file's reading.
  [[nodiscard]] std::string errors() const;

 private:
  void amount(const YAML::Node& node, const std::string& what,
              base::Result<std::uint64_t> (*parse)(std::string_view), std::uint64_t& into);
  void complain_choice(const YAML::Node& node, const std::string& what,
                       const std::vector<std::string_view>& words);
  void complain_at(const YAML::Mark& mark, const std::string& message);

  std::string file_;
  Diagnostics diagnostics_;
};

}  // namespace sluice::config
