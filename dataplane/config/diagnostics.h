// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

/// One complaint about a source, as people read it: file:line:column: message. Lines and columns
/// count from 1; columns are bytes.
struct Diagnostic {
  std::string file;
  std::uint32_t line = 0, column = 0;
  std::string message;
};

inline std::string to_text(const Diagnostic& diagnostic) {
  return diagnostic.file + ":" + std::to_string(diagnostic.line) + ":" +
         std::to_string(diagnostic.column) + ": " + diagnostic.message;
}

/// Complaints beyond this many in one run are counted, not kept: a wrong file type would else give
/// one for every line of it.
inline constexpr std::size_t kDiagnosticsMax = 200;

/// Everything that one run over all sources has to say. Only errors keep a generation from being
/// made.
struct Diagnostics {
  std::vector<Diagnostic> errors, warnings;
  std::size_t errors_left_out = 0;

  void error(std::string file, std::uint32_t line, std::uint32_t column, std::string message) {
    if (errors.size() == kDiagnosticsMax) {
      ++errors_left_out;
      return;
    }
    errors.push_back({std::move(file), line, column, std::move(message)});
  }
  void warning(std::string file, std::uint32_t line, std::uint32_t column, std::string message) {
    if (warnings.size() < kDiagnosticsMax) {
      warnings.push_back({std::move(file), line, column, std::move(message)});
    }
  }
  [[nodiscard]] bool ok() const { return errors.empty(); }
};

/// Edits between two names without ASCII case: insertion, deletion, substitution, and the swap of
/// neighbours count one each. O(left * right).
inline std::size_t edit_distance(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::vector<std::size_t> before(right.size() + 1), last(right.size() + 1), now(right.size() + 1);
  for (std::size_t j = 0; j <= right.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const bool same = lower(left[i - 1]) == lower(right[j - 1]);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
      if (i > 1 && j > 1 && lower(left[i - 1]) == lower(right[j - 2]) &&
          lower(left[i - 2]) == lower(right[j - 1])) {
        now[j] = std::min(now[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[right.size()];
}

/// The known name nearest to a wrong one, or empty where none is near enough to be meant: at most
/// a third of its letters differ, or one starts with the other.
template <typename Names>
std::string_view nearest_name(std::string_view wrong, const Names& known) {
  if (wrong.empty() || wrong.size() > 100) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, wrong.size() / 3) + 1;
  for (const std::string_view name : known) {
    const std::size_t distance = edit_distance(wrong, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  if (!best.empty()) return best;
  for (const std::string_view name : known) {
    const std::size_t shared = std::min(name.size(), wrong.size());
    if (shared >= 3 && edit_distance(wrong.substr(0, shared), name.substr(0, shared)) == 0) {
      return name;
    }
  }
  return {};
}

/// " (did you mean NAME?)" or nothing.
template <typename Names>
std::string suggestion(std::string_view wrong, const Names& known) {
  const std::string_view near = nearest_name(wrong, known);
  return near.empty() ? std::string() : " (did you mean " + std::string(near) + "?)";
}

}  // namespace sluice::config
