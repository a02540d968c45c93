// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/urlencoded.h"

#include <emmintrin.h>

#include <cstring>

#include "dataplane/http/characters.h"

namespace sluice::http {

UrlencodedDecoder::Piece UrlencodedDecoder::piece_of(base::Bytes bytes) const {
  return {in_value_ ? Piece::kValue : Piece::kName, bytes};
}

/// Bytes before the first separator, percent sign, plus sign or equals sign.
std::size_t UrlencodedDecoder::plain_run(base::Bytes chunk) const {
  const __m128i separator = _mm_set1_epi8(separator_);
  const __m128i percent = _mm_set1_epi8('%');
  const __m128i plus = _mm_set1_epi8('+');
  const __m128i equals = _mm_set1_epi8('=');
  std::size_t i = 0;
  for (; i + 16 <= chunk.size(); i += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(chunk.data() + i));
    const __m128i stop =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, separator), _mm_cmpeq_epi8(block, percent)),
                     _mm_or_si128(_mm_cmpeq_epi8(block, plus), _mm_cmpeq_epi8(block, equals)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (mask != 0) return i + static_cast<std::size_t>(__builtin_ctz(mask));
  }
  for (; i < chunk.size(); ++i) {
    const std::uint8_t byte = chunk[i];
    if (byte == separator_byte() || byte == '%' || byte == '+' || byte == '=') break;
  }
  return i;
}

UrlencodedDecoder::Piece UrlencodedDecoder::give_held() {
  const std::size_t size = held_size_;
  std::memcpy(decoded_.data(), held_.data(), size);
  held_size_ = 0;
  invalid_ = true;
  return piece_of({decoded_.data(), size});
}

/// A percent sign stood at the end of the last chunk. kNone: more is needed.
UrlencodedDecoder::Piece UrlencodedDecoder::resolve_held(base::Bytes& chunk) {
  while (!chunk.empty()) {
    const std::uint8_t byte = chunk[0];
    if (hex_value(byte) < 0) return give_held();
    chunk = chunk.subspan(1);
    if (held_size_ == 1) {
      held_[held_size_++] = byte;
      continue;
    }
    decoded_[0] = static_cast<std::uint8_t>(hex_value(held_[1]) << 4 | hex_value(byte));
    held_size_ = 0;
    return piece_of({decoded_.data(), 1});
  }
  return {};
}

/// Decodes from an escape on, plain bytes between escapes too, up to a separator or a full buffer.
UrlencodedDecoder::Piece UrlencodedDecoder::decode_run(base::Bytes& chunk) {
  std::size_t size = 0, i = 0;
  while (i < chunk.size() && size < decoded_.size()) {
    const std::uint8_t byte = chunk[i];
    if (byte == separator_byte() || (byte == '=' && !in_value_)) break;
    if (byte == '%') {
      const std::size_t left = chunk.size() - i - 1;
      const int high = left > 0 ? hex_value(chunk[i + 1]) : 0;
      const int low = left > 1 && high >= 0 ? hex_value(chunk[i + 2]) : 0;
      if (high >= 0 && low >= 0) {
        if (left < 2) {  // the rest is in the next chunk
          held_size_ = static_cast<std::uint8_t>(left + 1);
          std::memcpy(held_.data(), chunk.data() + i, held_size_);
          i = chunk.size();
          break;
        }
        decoded_[size++] = static_cast<std::uint8_t>(high << 4 | low);
        i += 3;
        continue;
      }
      invalid_ = true;
    }
    decoded_[size++] = byte == '+' ? std::uint8_t{' '} : byte;
    ++i;
  }
  chunk = chunk.subspan(i);
  return size == 0 ? Piece{} : piece_of({decoded_.data(), size});
}

UrlencodedDecoder::Piece UrlencodedDecoder::next(base::Bytes& chunk) {
  while (!chunk.empty()) {
    if (held_size_ > 0) {
      const Piece piece = resolve_held(chunk);
      if (piece.kind != Piece::kNone) return piece;
      continue;
    }
    const std::uint8_t byte = chunk[0];
    if (byte == separator_byte()) {
      chunk = chunk.subspan(1);
      in_value_ = begun_ = false;
      return {Piece::kEnd, {}};
    }
    begun_ = true;
    if (byte == '=' && !in_value_) {
      in_value_ = true;
      chunk = chunk.subspan(1);
      continue;
    }
    const std::size_t run = plain_run(chunk);
    if (run > 0) {
      const Piece piece = piece_of(chunk.first(run));
      chunk = chunk.subspan(run);
      return piece;
    }
    const Piece piece = decode_run(chunk);
    if (piece.kind != Piece::kNone) return piece;
  }
  return {};
}

UrlencodedDecoder::Piece UrlencodedDecoder::next_at_end() {
  if (held_size_ > 0) return give_held();
  if (!begun_) return {};
  in_value_ = begun_ = false;
  return {Piece::kEnd, {}};
}

}  // namespace sluice::http
