// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/config/yaml_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "dataplane/config/units.h"

namespace sluice::config {

bool parse_number(const std::string& text, std::uint64_t& into) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, into);
  return error == std::errc() && at == end && !text.empty();
}

YAML::Node YamlReader::load() {
  try {
    return YAML::LoadFile(file_);
  } catch (const YAML::BadFile&) {
    diagnostics_.error(file_, 1, 1, "cannot be read: give the right file with --config");
  } catch (const YAML::Exception& wrong) {
    complain_at(wrong.mark, wrong.msg);
  }
  return {};
}

YAML::Node YamlReader::load_text(const std::string& text) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& wrong) {
    complain_at(wrong.mark, wrong.msg);
  }
  return {};
}

void YamlReader::complain_at(const YAML::Mark& mark, const std::string& message) {
  diagnostics_.error(file_, static_cast<std::uint32_t>(std::max(mark.line, 0) + 1),
                     static_cast<std::uint32_t>(std::max(mark.column, 0) + 1), message);
}

std::string YamlReader::errors() const {
  std::string text;
  for (const Diagnostic& error : diagnostics_.errors) text += to_text(error) + "\n";
  return text;
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
    complain(entry.first, "unknown key " + key + " in " + what + suggestion(key, known));
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

void YamlReader::amount(const YAML::Node& node, const std::string& what,
                        base::Result<std::uint64_t> (*parse)(std::string_view),
                        std::uint64_t& into) {
  if (!node) return;
  const auto value = parse(node.IsScalar() ? std::string_view(node.Scalar()) : std::string_view());
  if (!value.ok()) {
    complain(node, what + ": " + value.error().message);
    return;
  }
  into = value.value();
}

void YamlReader::size_bytes(const YAML::Node& node, const std::string& what, std::uint64_t& into) {
  amount(node, what, parse_size_bytes, into);
}

void YamlReader::duration_ns(const YAML::Node& node, const std::string& what, std::uint64_t& into) {
  amount(node, what, parse_duration_ns, into);
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
