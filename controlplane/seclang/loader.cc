// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/linker.h"
#include "controlplane/seclang/parser.h"

namespace sluice::seclang {

void Loader::complain(const Place* from, const std::string& path, const std::string& message) {
  if (from != nullptr) {
    Reporter(rules_.files, diagnostics_).error(*from, path + ": " + message);
  } else {
    diagnostics_.error(path, 1, 1, message);
  }
}

void Loader::load(const std::string& pattern) {
  const std::vector<std::string> files = sources_.glob(pattern);
  if (files.empty()) {
    if (pattern.find_first_of("*?[") == std::string::npos) {
      diagnostics_.error(pattern, 1, 1, "no such file");
    } else {
      diagnostics_.warning(pattern, 1, 1, "no file matches this pattern");
    }
  }
  for (const std::string& file : files) load_file(file, nullptr, 0);
}

void Loader::load_file(const std::string& path, const Place* from, std::size_t depth) {
  if (depth > kIncludeDepthMax) {
    return complain(from, path, "included more than 16 files deep: does a file include itself?");
  }
  const auto text = sources_.read(path);
  if (!text.ok()) return complain(from, path, text.error().message);
  parse_text(path, text.value(), depth);
}

void Loader::load_text(const std::string& name, std::string_view text) {
  parse_text(name, text, 0);
}

void Loader::parse_text(const std::string& path, std::string_view text, std::size_t depth) {
  const auto file = static_cast<std::uint32_t>(rules_.files.size());
  rules_.files.push_back(path);
  const SourceText source(file, text);
  Reporter reporter(rules_.files, diagnostics_);
  if (text.find('\0') != std::string_view::npos) {
    reporter.error(source.at(text.find('\0')), "a NUL byte: not a text of rules");
    return;
  }
  for (Node& node : parse(source, reporter)) {
    if (const auto* included = std::get_if<IncludeNode>(&node)) {
      include(*included, path, depth);
    } else {
      nodes_.push_back(std::move(node));
    }
  }
}

void Loader::include(const IncludeNode& node, const std::string& from, std::size_t depth) {
  const auto pattern = sources_.expand(node.pattern);
  if (!pattern.ok()) return complain(&node.place, node.pattern, pattern.error().message);
  std::vector<std::string> files = sources_.glob(SourceSet::resolve(pattern.value(), from));
  if (files.empty()) files = sources_.glob(SourceSet::resolve(pattern.value(), ""));
  if (files.empty() && !node.optional) {
    complain(&node.place, node.pattern,
             "no such file, neither beside this one nor in the working directory (IncludeOptional "
             "accepts that)");
  }
  for (const std::string& file : files) {
    load_file(file, &node.place, depth + 1);
    if (rules_.files.size() > 4 * kSourceFilesMax) {
      return complain(&node.place, node.pattern, "too many files are included");
    }
  }
}

}  // namespace sluice::seclang
