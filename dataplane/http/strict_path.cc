// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/strict_path.h"

#include "dataplane/abi/strict.h"
#include "dataplane/http/characters.h"

namespace sluice::http {
namespace {

using abi::Strict;

/// Walks the decoded bytes of a path.
class PathWalk {
 public:
  void take(std::uint8_t byte, bool encoded) {
    note_byte(byte, encoded);
    note_utf8(byte);
    // Servers that decode before they split take %2f, and some the backslash, for a border.
    if (byte == '/' || byte == '\\') {
      end_segment();
      return;
    }
    if (parameter_) return;
    if (byte == ';') {
      parameter_ = true;
    } else if (byte == '.' && only_dots_) {
      ++dots_;
    } else {
      only_dots_ = false;
    }
    empty_ = false;
  }

  void end_segment() {
    const bool dot_segment = only_dots_ && (dots_ == 1 || dots_ == 2);
    if (dot_segment && parameter_) fail(Strict::kPathParameter);
    if (dot_segment && dots_ == 2) {
      if (--depth_ < 0) fail(Strict::kPathRoot);
    } else if (!dot_segment && !empty_) {
      ++depth_;
    }
    only_dots_ = empty_ = true;
    parameter_ = false;
    dots_ = 0;
  }

  void fail(Strict strict) { failures_ |= abi::strict_bit(strict); }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  void note_byte(std::uint8_t byte, bool encoded) {
    if (byte == 0) fail(Strict::kPathNul);
    if (encoded && (byte == '/' || byte == '\\')) fail(Strict::kPathSlash);
    const bool odd = is_class(byte, kClassOddTarget);
    if (odd && !encoded) fail(Strict::kPathBytes);
  }

  /// Unicode 15, table 3-7: a lead byte and the second bytes it cannot have.
  void note_utf8(std::uint8_t byte) {
    const bool continuation = byte >= 0x80 && byte <= 0xbf;
    const bool overlong = (last_ == 0xc0 || last_ == 0xc1) || (last_ == 0xe0 && byte < 0xa0) ||
                          (last_ == 0xf0 && byte < 0x90);
    const bool surrogate = last_ == 0xed && byte >= 0xa0;
    if (continuation && (overlong || surrogate)) fail(Strict::kOverlongUtf8);
    last_ = byte;
  }

  std::uint64_t failures_ = 0;
  int depth_ = 0;
  unsigned dots_ = 0;
  std::uint8_t last_ = 0;
  bool only_dots_ = true, empty_ = true, parameter_ = false;
};

}  // namespace

std::uint64_t strict_path_failures(std::string_view path) {
  PathWalk walk;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(path[i]);
    if (byte != '%') {
      walk.take(byte, false);
      continue;
    }
    const bool room = i + 2 < path.size();
    const int high = room ? hex_value(static_cast<std::uint8_t>(path[i + 1])) : -1;
    const int low = room ? hex_value(static_cast<std::uint8_t>(path[i + 2])) : -1;
    if (high < 0 || low < 0) {
      walk.fail(Strict::kPathPercent);
      walk.take(byte, false);
      continue;
    }
    walk.take(static_cast<std::uint8_t>(high << 4 | low), true);
    i += 2;
  }
  walk.end_segment();
  return walk.failures();
}

}  // namespace sluice::http
