// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/seclang/link.h"

namespace sluice::seclang {

/// One file's text with its lines, so that an offset has a Place. Borrows the text.
class SourceText {
 public:
  SourceText(std::uint32_t file, std::string_view text);
  [[nodiscard]] Place at(std::size_t offset) const;
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] std::string_view slice(std::size_t begin, std::size_t end) const {
    return text_.substr(begin, end - begin);
  }

 private:
  std::uint32_t file_;
  std::string_view text_;
  std::vector<std::uint32_t> line_starts_;
};

/// Where complaints go: a Place becomes file:line:column.
class Reporter {
 public:
  Reporter(const std::vector<std::string>& files, config::Diagnostics& diagnostics)
      : files_(files), diagnostics_(diagnostics) {}
  void error(const Place& place, std::string message) {
    diagnostics_.error(name(place), place.line, place.column, std::move(message));
  }
  void warning(const Place& place, std::string message) {
    diagnostics_.warning(name(place), place.line, place.column, std::move(message));
  }
  /// "file:line:column" for messages that name a second place.
  [[nodiscard]] std::string text(const Place& place) const {
    return name(place) + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  }

 private:
  [[nodiscard]] std::string name(const Place& place) const {
    return place.file < files_.size() ? files_[place.file] : std::string();
  }
  const std::vector<std::string>& files_;
  config::Diagnostics& diagnostics_;
};

/// A word or a quoted text of a directive, as a range of the source without its quotes. Escapes and
/// line continuations inside are still there.
struct Token {
  std::size_t begin = 0, end = 0;
  char quote = 0;  ///< '"', '\'' or 0
};

struct RawDirective {
  std::size_t begin = 0, end = 0;  ///< of all of it
  Token name;
  std::vector<Token> arguments;
};

/// Splits a text into directives. Lines that end in a backslash go on; `#` starts a comment where a
/// directive may start. A text with an open quote is reported and ends at its line. O(text).
std::vector<RawDirective> lex(const SourceText& source, Reporter& reporter);

}  // namespace sluice::seclang
