// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::compile {

/// One pattern for Hyperscan under the number that matches report.
struct Expression {
  std::string pattern;
  unsigned flags = 0;  ///< HS_FLAG_*
  unsigned id = 0;
  bool literal = false;  ///< bytes, not a pattern
};

/// A database in the cache that is not asked for so long is deleted.
inline constexpr int kCacheDays = 30;

/// Makes databases, or takes them from a folder where an equal one was made before: by all
/// expressions, the Hyperscan version and the CPU.
class DatabaseMaker {
 public:
  explicit DatabaseMaker(std::string cache_folder) : cache_folder_(std::move(cache_folder)) {}

  /// A serialised block-mode database for this machine. Error: Hyperscan's message, and in `bad`
  /// the expression it is about; -1 if it is about all of them together.
  base::Result<std::string> make(const std::vector<Expression>& expressions, int& bad);

  /// Deletes what no make() has asked the folder for in kCacheDays. O(files in the folder).
  void forget_unused() const;

  /// True if Hyperscan can read the pattern. One that it can read may still be too large.
  static bool reads(const std::string& pattern, unsigned flags);

  [[nodiscard]] std::size_t made() const { return made_; }
  [[nodiscard]] std::size_t cached() const { return cached_; }

 private:
  [[nodiscard]] std::string cache_path(const std::string& content) const;
  std::string cache_folder_;
  std::size_t made_ = 0, cached_ = 0;
};

/// SHA-256 in hexadecimal.
std::string content_digest(const std::string& content);

}  // namespace sluice::compile
