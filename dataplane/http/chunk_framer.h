// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"

namespace sluice::http {

/// What is allowed besides size, CRLF, data and CRLF. Requests: nothing, since servers differ on
/// all of it. Responses: what honest servers send.
struct ChunkRules {
  std::uint32_t digits_max = 8;
  bool leading_zeros = false;
  bool extensions = false;
  bool trailers = false;
  bool tiny_chunks_refused = true;
  std::uint32_t line_bytes_max = 4096;  ///< one extension; all trailers
};

/// Finds data and end of a chunked body (RFC 9112 section 7.1), byte by byte exact.
class ChunkFramer {
 public:
  enum class Part : std::uint8_t {
    kFraming,  ///< bytes that are no data: size lines, line ends, trailers
    kData,     ///< bytes of the body
    kEnd,      ///< framing whose last byte ends the message
    kRefused,  ///< reason(); consumed counts the bytes before the offending one
  };
  struct Region {
    Part part = Part::kFraming;
    std::size_t size = 0;
  };

  void start(const ChunkRules& rules);
  /// After a refusal: goes on at the offending byte by other rules. False where no rule explains
  /// it.
  [[nodiscard]] bool relax(const ChunkRules& rules);
  /// The next region of a nonempty chunk, from its start. O(size).
  [[nodiscard]] Region next(base::Bytes chunk);
  [[nodiscard]] abi::Reason reason() const { return reason_; }

 private:
  enum class State : std::uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
    kEnded,
  };

  abi::Reason take(std::uint8_t byte);
  abi::Reason take_size(std::uint8_t byte);
  abi::Reason take_extension(std::uint8_t byte);
  abi::Reason end_size_line();
  abi::Reason take_trailer(std::uint8_t byte);

  ChunkRules rules_;
  std::uint64_t size_ = 0;
  std::uint64_t data_left_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::uint32_t chunks_ = 0;
  std::uint32_t line_bytes_ = 0;
  std::uint8_t digits_ = 0;
  State state_ = State::kSizeFirst;
  abi::Reason reason_ = abi::Reason::kNone;
};

}  // namespace sluice::http
