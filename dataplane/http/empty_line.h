// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"

namespace sluice::http {

/// The one empty line that may stand between two messages of a direction: old clients send it
/// behind a body (RFC 9112 sections 2.2 and 9.2; evasion catalogue HF13). What is left of the
/// allowance where no message is under way; it outlives the parser of an idle connection.
enum class EmptyLine : std::uint8_t {
  kRefused,  ///< before the first message, or one has come: the next CR or LF is an offence
  kAllowed,
  kHalf,  ///< its CR has come
};

/// Takes the empty line, or what of it has come, from the start of `chunk`. The bytes taken, 0..2.
inline std::size_t skip_empty_line(EmptyLine& line, base::Bytes chunk) {
  std::size_t taken = 0;
  if (line == EmptyLine::kAllowed && !chunk.empty() && chunk[0] == '\r') {
    line = EmptyLine::kHalf;
    ++taken;
  }
  if (line == EmptyLine::kHalf && taken < chunk.size() && chunk[taken] == '\n') {
    line = EmptyLine::kRefused;
    ++taken;
  }
  return taken;
}

}  // namespace sluice::http
