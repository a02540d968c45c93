// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/source_set.h"

#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sluice::seclang {
namespace {

bool has_wildcard(std::string_view path) {
  return path.find_first_of("*?[") != std::string_view::npos;
}

base::Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return base::Error{std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return base::Error{"not a regular file"};
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max) {
    return base::Error{"all sources together are larger than 64 MiB"};
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return base::Error{std::strerror(errno)};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

SourceSet::SourceSet(std::vector<publish::Source> stored) : stored_only_(true) {
  for (publish::Source& source : stored) {
    stored_[resolve(source.path, "")] = std::move(source.text);
  }
}

std::string SourceSet::resolve(const std::string& path, const std::string& from) {
  const std::filesystem::path written(path);
  if (written.is_absolute()) return written.lexically_normal().string();
  const std::filesystem::path folder =
      from.empty() ? std::filesystem::current_path() : std::filesystem::path(from).parent_path();
  return std::filesystem::absolute(folder / written).lexically_normal().string();
}

base::Result<std::string> SourceSet::expand(const std::string& pattern) const {
  static constexpr std::string_view kState = "${STATE}";
  const std::size_t at = pattern.find("${");
  if (at == std::string::npos) return pattern;
  if (at != 0 || !pattern.starts_with(kState)) {
    return base::Error{"only ${STATE} is known, and only at the start"};
  }
  if (state_.empty()) return base::Error{"there is no state folder here"};
  return state_ + pattern.substr(kState.size());
}

base::Result<std::string_view> SourceSet::read(const std::string& path) {
  const std::string name = resolve(path, "");
  if (const auto known = read_.find(name); known != read_.end()) {
    return std::string_view(known->second);
  }
  if (read_.size() == kSourceFilesMax) return base::Error{"more than 1000 source files"};
  std::string text;
  if (stored_only_) {
    const auto stored = stored_.find(name);
    if (stored == stored_.end()) return base::Error{"not among the stored sources"};
    text = stored->second;
    if (text.size() > kSourceBytesMax - read_bytes_) {
      return base::Error{"all sources together are larger than 64 MiB"};
    }
  } else {
    auto file = read_file(name, kSourceBytesMax - read_bytes_);
    if (!file.ok()) return file.error();
    text = std::move(file).value();
  }
  read_bytes_ += text.size();
  return std::string_view(read_.emplace(name, std::move(text)).first->second);
}

bool SourceSet::exists(const std::string& path) const {
  const std::string name = resolve(path, "");
  if (stored_only_) return stored_.contains(name);
  struct stat status {};
  return ::stat(name.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::vector<std::string> SourceSet::glob(const std::string& pattern) const {
  const std::string full = resolve(pattern, "");
  std::vector<std::string> found;
  if (!has_wildcard(full)) {
    if (exists(full)) found.push_back(full);
    return found;
  }
  if (stored_only_) {
    for (const auto& [path, text] : stored_) {
      if (::fnmatch(full.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) {
        found.push_back(path);
      }
    }
    return found;  // a map is in byte order
  }
  glob_t matches{};
  if (::glob(full.c_str(), GLOB_NOSORT, nullptr, &matches) == 0) {
    for (std::size_t i = 0; i < matches.gl_pathc; ++i) {
      if (exists(matches.gl_pathv[i])) found.emplace_back(matches.gl_pathv[i]);
    }
  }
  ::globfree(&matches);
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<publish::Source> SourceSet::sources() const {
  std::vector<publish::Source> all;
  all.reserve(read_.size());
  for (const auto& [path, text] : read_) all.push_back({path, text});
  return all;
}

}  // namespace sluice::seclang
