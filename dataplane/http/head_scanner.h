// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/arena_buffer.h"
#include "dataplane/http/event.h"

namespace sluice::http {

using HeadBuffer = ArenaBuffer;

/// Looks at the raw bytes of a head as they arrive, and stops at the byte that no strict reading
/// allows, before it can be forwarded: servers act on an HTTP/0.9 line, or on LF LF, without
/// waiting for more (evasion catalogue HF11 to HF13, HF19, HH8, HH9, HH13).
class HeadScanner {
 public:
  enum class Status : std::uint8_t { kNeedMore, kStartLine, kComplete, kRefused };
  struct Result {
    Status status = Status::kNeedMore;
    std::size_t consumed = 0;  ///< of the chunk; for kRefused the bytes before the offending one
    abi::Reason reason = abi::Reason::kNone;
  };

  /// `after_cr`: a CR has come already, of an empty line that does not end.
  void start(const HeadLimits& limits, bool after_cr);

  /// Scans to the next stop: end of the chunk, end of the start line (kStartLine, once), end of the
  /// head, or an offence. O(chunk), 16 bytes at a time.
  [[nodiscard]] Result scan(base::Bytes chunk);

  /// Bytes of the head so far.
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t lines() const { return lines_; }
  [[nodiscard]] bool idle() const { return bytes_ == 0; }

 private:
  Result refuse(std::size_t at, abi::Reason reason, std::size_t counted = 0);
  void count(std::size_t run);
  [[nodiscard]] std::size_t line_bytes_max() const;
  [[nodiscard]] std::size_t run_allowed() const;
  [[nodiscard]] abi::Reason too_large() const;
  abi::Reason control_byte(std::uint8_t byte);
  Status end_line();

  HeadLimits limits_;
  std::uint32_t bytes_ = 0, line_bytes_ = 0, lines_ = 0;
  bool after_cr_ = false;
};

}  // namespace sluice::http
