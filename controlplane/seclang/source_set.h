// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/publish/generation_store.h"
#include "dataplane/base/result.h"

namespace sluice::seclang {

inline constexpr std::size_t kSourceFilesMax = 1000;       // more: an error
inline constexpr std::size_t kSourceBytesMax = 64u << 20;  // all files together; more: an error
inline constexpr std::size_t kIncludeDepthMax = 16;        // more: an error

/// Where the texts of a generation come from: files, every one of which is remembered with its
/// text, or a stored set that stands for the file system. So a generation compiles again from
/// sources() alone.
class SourceSet {
 public:
  /// Reads files as they are asked for.
  SourceSet() = default;
  /// Only these exist.
  explicit SourceSet(std::vector<publish::Source> stored);

  /// The text of a file; `path` is made absolute and normal first (no links are resolved). The view
  /// lives as long as this object. Errors: it cannot be read, or a bound above is reached.
  base::Result<std::string_view> read(const std::string& path);
  /// Is there such a file?
  [[nodiscard]] bool exists(const std::string& path) const;
  /// The files that match a pattern (`*`, `?`, `[]` in any part; fnmatch(3) rules of the shell), in
  /// byte order; a path without a wildcard gives itself if it exists.
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) const;
  /// All that was read so far, by path.
  [[nodiscard]] std::vector<publish::Source> sources() const;

  /// The folder that Include may name as `${STATE}`: the instance's own, with its bundles.
  void set_state(std::string folder) { state_ = std::move(folder); }
  /// A pattern of Include with `${STATE}` replaced. Error: another `${...}`, or nobody has said
  /// which folder that is.
  [[nodiscard]] base::Result<std::string> expand(const std::string& pattern) const;

  /// `path` as seen from the folder of `from` (a file), or from the working directory if `from` is
  /// empty; absolute and normal.
  static std::string resolve(const std::string& path, const std::string& from);

 private:
  std::string state_;
  bool stored_only_ = false;
  std::map<std::string, std::string> stored_;  ///< by path, where stored_only_
  std::map<std::string, std::string> read_;    ///< by path; nodes never move
  std::size_t read_bytes_ = 0;
};

}  // namespace sluice::seclang
