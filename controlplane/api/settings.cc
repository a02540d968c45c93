// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/settings.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cctype>
#include <optional>

namespace sluice::api {
namespace {

/// "64MiB", "7d", "500ms"; the number alone is refused: sizes and durations carry their unit.
std::optional<std::uint64_t> with_unit(
    const std::string& text, std::initializer_list<std::pair<const char*, std::uint64_t>> units) {
  std::size_t digits = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0) {
    ++digits;
  }
  if (digits == 0 || digits > 15) return std::nullopt;
  const std::uint64_t number = std::stoull(text.substr(0, digits));
  for (const auto& [unit, factor] : units) {
    if (text.substr(digits) == unit) return number * factor;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_size(const std::string& text) {
  return with_unit(text, {{"B", 1},
                          {"KiB", 1ULL << 10},
                          {"MiB", 1ULL << 20},
                          {"GiB", 1ULL << 30},
                          {"KB", 1'000},
                          {"MB", 1'000'000},
                          {"GB", 1'000'000'000}});
}

std::optional<std::uint64_t> parse_seconds(const std::string& text) {
  return with_unit(text, {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86'400}});
}

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void text(const YAML::Node& node, std::string& into) {
    if (node && node.IsScalar()) into = node.Scalar();
  }
  void amount(const YAML::Node& node, std::uint64_t& into,
              std::optional<std::uint64_t> (*parse)(const std::string&), const char* example) {
    if (!node) return;
    const auto value = node.IsScalar() ? parse(node.Scalar()) : std::nullopt;
    if (value) {
      into = *value;
    } else {
      complain(node, std::string("wants a number with its unit, as ") + example);
    }
  }
  void complain(const YAML::Node& node, const std::string& message) {
    const YAML::Mark mark = node.Mark();
    errors_ += file_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) +
               ": " + message + "\n";
  }
  [[nodiscard]] const std::string& errors() const { return errors_; }

 private:
  std::string file_, errors_;
};

void read_events(Reader& reader, const YAML::Node& events, Settings& settings) {
  if (!events || !events.IsMap()) return;
  if (const YAML::Node keep = events["keep"]; keep && keep.IsMap()) {
    reader.amount(keep["size"], settings.eve.keep_bytes, parse_size, "1GiB");
    reader.amount(keep["age"], settings.eve.keep_age_s, parse_seconds, "30d");
  } else if (keep) {
    reader.amount(keep, settings.eve.keep_bytes, parse_size, "1GiB");
  }
  if (const YAML::Node rotate = events["rotate"]; rotate && rotate.IsMap()) {
    reader.amount(rotate["size"], settings.eve.rotate_bytes, parse_size, "64MiB");
    reader.amount(rotate["age"], settings.eve.rotate_age_s, parse_seconds, "24h");
  }
  if (const YAML::Node sample = events["sample"]) {
    // "1/10": every tenth honest record.
    const std::string ratio = sample.IsScalar() ? sample.Scalar() : "";
    if (ratio.starts_with("1/") && std::atoi(ratio.c_str() + 2) > 0) {
      settings.sample_honest = static_cast<std::uint32_t>(std::atoi(ratio.c_str() + 2));
    } else {
      reader.complain(sample, "wants 1/N");
    }
  }
}

}  // namespace

base::Result<Settings> load_settings(const std::string& file, const std::string& instance) {
  Settings settings;
  settings.paths = publish::default_paths(instance);
  Reader reader(file);
  if (::access(file.c_str(), F_OK) == 0) {
    try {
      const YAML::Node root = YAML::LoadFile(file);
      const YAML::Node paths = root["paths"];
      if (paths && paths.IsMap()) {
        const std::string suffix = instance.empty() || instance == "main" ? "" : "/" + instance;
        for (const auto& [key, into] :
             {std::pair{"shm", &settings.paths.shm}, std::pair{"state", &settings.paths.state},
              std::pair{"run", &settings.paths.run}, std::pair{"log", &settings.paths.log}}) {
          if (!paths[key]) continue;
          reader.text(paths[key], *into);
          *into += suffix;
        }
        reader.text(paths["policy"], settings.paths.policy);
      }
      if (const YAML::Node metrics = root["metrics"]; metrics && metrics.IsMap()) {
        reader.text(metrics["listen"], settings.metrics_listen);
      }
      read_events(reader, root["events"], settings);
    } catch (const YAML::Exception& wrong) {
      return base::Error{file + ":" + std::to_string(wrong.mark.line + 1) + ":" +
                         std::to_string(wrong.mark.column + 1) + ": " + wrong.msg};
    }
  }
  if (!reader.errors().empty()) return base::Error{reader.errors()};
  settings.eve.path = settings.paths.eve();
  return settings;
}

}  // namespace sluice::api
