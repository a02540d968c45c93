// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/config/yaml_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

namespace sluice::config {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j - 1] + 1, above + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

bool parse_number(const std::string& text, std::uint64_t& into) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, into);
  return error == std::errc() && at == end && !text.empty();
}

std::string_view nearest_name(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  std::size_t best_distance = word.size() / 2 + 1;
  for (const std::string_view name : known) {
    const std::size_t distance = edit_distance(word, name);
    if (distance > best_distance || (distance == best_distance && !best.empty())) continue;
    best = name;
    best_distance = distance;
  }
  return best;
}

YAML::Node YamlReader::load() {
  try {
    return YAML::LoadFile(file_);
  } catch (const YAML::BadFile&) {
    errors_ += file_ + ":1:1: cannot be read: give the right file with --config\n";
  } catch (const YAML::Exception& wrong) {
    complain_at(wrong.mark, wrong.msg);
  }
  return {};
}

void YamlReader::complain_at(const YAML::Mark& mark, const std::string& message) {
  errors_ += file_ + ":" + std::to_string(std::max(mark.line, 0) + 1) + ":" +
             std::to_string(std::max(mark.column, 0) + 1) + ": " + message + "\n";
}

void YamlReader::complain(const YAML::Node& node, const std::string& message) {
  complain_at(node.Mark(), message);
}

bool YamlReader::check_map(const YAML::Node& node, const std::string& what,
                           const std::vector<std::string_view>& known) {
  if (!node || node.IsNull()) return false;
  if (!node.IsMap()) {
    complain(node, what + " wants a map of " + std::string(known.front()) + " and others");
    return false;
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string();
    if (!seen.insert(key).second) complain(entry.first, key + " stands twice in " + what);
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string_view near = nearest_name(key, known);
    complain(entry.first, "unknown key " + key + " in " + what +
                              (near.empty() ? "" : ": did you mean " + std::string(near) + "?"));
  }
  return true;
}

void YamlReader::text(const YAML::Node& node, const std::string& what, std::string& into) {
  if (!node) return;
  if (!node.IsScalar()) {
    complain(node, what + " wants a text");
    return;
  }
  into = node.Scalar();
}

void YamlReader::number(const YAML::Node& node, const std::string& what, std::uint64_t smallest,
                        std::uint64_t largest, std::uint64_t& into) {
  if (!node) return;
  std::uint64_t value = 0;
  if (!node.IsScalar() || !parse_number(node.Scalar(), value) || value < smallest ||
      value > largest) {
    complain(node, what + " wants a number from " + std::to_string(smallest) + " to " +
                       std::to_string(largest));
    return;
  }
  into = value;
}

void YamlReader::names(const YAML::Node& node, const std::string& what, std::size_t count_max,
                       std::vector<std::string>& into) {
  if (!node) return;
  if (!node.IsSequence() || node.size() > count_max) {
    complain(node, what + " wants a list of at most " + std::to_string(count_max) + " names");
    return;
  }
  into.clear();
  for (const YAML::Node& entry : node) {
    if (!entry.IsScalar() || entry.Scalar().empty() || entry.Scalar().size() > 64) {
      complain(entry, what + " wants names of 1 to 64 bytes");
      continue;
    }
    std::string name = entry.Scalar();
    for (char& letter : name) {
      letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    }
    into.push_back(std::move(name));
  }
}

void YamlReader::complain_choice(const YAML::Node& node, const std::string& what,
                                 const std::vector<std::string_view>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
  }
  complain(node, what + " wants " + text);
}

}  // namespace sluice::config
