// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"

namespace sluice::http {

/// Splits and decodes an application/x-www-form-urlencoded body as it arrives, in fixed memory and
/// with the semantics of for_each_argument() and percent_decode(). Never fails.
///
/// Sink: name(Bytes piece) any number of times, then value(Bytes piece) any number of times, then
/// end(): one argument. Pieces are valid during the call; where the borders between pieces lie
/// depends on the chunks, what they join to does not.
class UrlencodedDecoder {
 public:
  explicit UrlencodedDecoder(char separator = '&') : separator_(separator) {}

  /// O(chunk), no allocation.
  template <typename Sink>
  void feed(base::Bytes chunk, Sink& sink) {
    Piece piece;
    while (next(chunk, piece)) give(piece, sink);
  }
  /// The body has ended.
  template <typename Sink>
  void finish(Sink& sink) {
    Piece piece;
    while (next_at_end(piece)) give(piece, sink);
  }
  /// URLENCODED_ERROR: a `%` was not followed by two hexadecimal digits.
  [[nodiscard]] bool invalid_encoding() const { return invalid_; }

 private:
  struct Piece {
    base::Bytes bytes;
    bool is_value = false;
    bool ends = false;
  };
  template <typename Sink>
  static void give(const Piece& piece, Sink& sink) {
    if (!piece.bytes.empty()) piece.is_value ? sink.value(piece.bytes) : sink.name(piece.bytes);
    if (piece.ends) sink.end();
  }
  bool next(base::Bytes& chunk, Piece& piece);
  bool next_at_end(Piece& piece);
  std::size_t decode_run(base::Bytes chunk);

  std::array<std::uint8_t, 256> decoded_;
  std::size_t decoded_size_ = 0;
  std::uint8_t held_[2] = {};  ///< a percent sign and a digit at the end of the last chunk
  std::uint8_t held_size_ = 0;
  char separator_;
  bool in_value_ = false;
  bool begun_ = false;  ///< bytes since the last separator, an equals sign among them
  bool invalid_ = false;
};

}  // namespace sluice::http
