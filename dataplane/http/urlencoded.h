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
    for (Piece piece = next(chunk); piece.kind != Piece::kNone; piece = next(chunk)) {
      give(piece, sink);
    }
  }
  /// The body has ended.
  template <typename Sink>
  void finish(Sink& sink) {
    for (Piece piece = next_at_end(); piece.kind != Piece::kNone; piece = next_at_end()) {
      give(piece, sink);
    }
  }
  /// URLENCODED_ERROR: a `%` was not followed by two hexadecimal digits.
  [[nodiscard]] bool invalid_encoding() const { return invalid_; }

 private:
  struct Piece {
    enum Kind : std::uint8_t { kNone, kName, kValue, kEnd } kind = kNone;
    base::Bytes bytes;
  };
  template <typename Sink>
  static void give(const Piece& piece, Sink& sink) {
    if (piece.kind == Piece::kName) sink.name(piece.bytes);
    if (piece.kind == Piece::kValue) sink.value(piece.bytes);
    if (piece.kind == Piece::kEnd) sink.end();
  }
  Piece next(base::Bytes& chunk);
  Piece next_at_end();
  Piece piece_of(base::Bytes bytes) const;
  Piece resolve_held(base::Bytes& chunk);
  Piece decode_run(base::Bytes& chunk);
  Piece give_held();
  [[nodiscard]] std::size_t plain_run(base::Bytes chunk) const;

  std::array<std::uint8_t, 256> decoded_;
  std::array<std::uint8_t, 2> held_{};  ///< a percent sign and a digit at the end of a chunk
  std::uint8_t held_size_ = 0;
  std::uint8_t separator_byte() const { return static_cast<std::uint8_t>(separator_); }
  char separator_;
  bool in_value_ = false;
  bool begun_ = false;  ///< a byte since the last separator
  bool invalid_ = false;
};

}  // namespace sluice::http
