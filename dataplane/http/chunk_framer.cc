// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/chunk_framer.h"

#include <algorithm>

#include "dataplane/abi/limits.h"
#include "dataplane/http/characters.h"

namespace sluice::http {

void ChunkFramer::start(const ChunkRules& rules) {
  *this = ChunkFramer();
  rules_ = rules;
}

bool ChunkFramer::relax(const ChunkRules& rules) {
  const bool by_rule = reason_ == abi::Reason::kHttpChunkSize ||
                       reason_ == abi::Reason::kHttpChunkExt ||
                       reason_ == abi::Reason::kHttpTrailer || reason_ == abi::Reason::kHttpChunks;
  rules_ = rules;
  reason_ = abi::Reason::kNone;
  return by_rule;
}

ChunkFramer::Region ChunkFramer::next(base::Bytes chunk) {
  if (state_ == State::kData) {
    const std::size_t size = std::min<std::uint64_t>(data_left_, chunk.size());
    data_left_ -= size;
    if (data_left_ == 0) state_ = State::kDataCr;
    return {Part::kData, size};
  }
  std::size_t at = 0;
  while (at < chunk.size()) {
    reason_ = take(chunk[at]);
    if (reason_ != abi::Reason::kNone) return {Part::kRefused, at};
    ++at;
    if (state_ == State::kEnded) return {Part::kEnd, at};
    if (state_ == State::kData) break;
  }
  return {Part::kFraming, at};
}

abi::Reason ChunkFramer::take(std::uint8_t byte) {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      return take_size(byte);
    case State::kExtension:
      return take_extension(byte);
    case State::kSizeLf:
      return byte == '\n' ? end_size_line() : abi::Reason::kHttpBareCr;
    case State::kDataCr:
      state_ = State::kDataLf;
      return byte == '\r' ? abi::Reason::kNone : abi::Reason::kHttpChunkData;
    case State::kDataLf:
      state_ = State::kSizeFirst;
      digits_ = 0;
      size_ = 0;
      return byte == '\n' ? abi::Reason::kNone : abi::Reason::kHttpChunkData;
    case State::kTrailerStart:
    case State::kTrailer:
    case State::kTrailerLf:
      return take_trailer(byte);
    case State::kEndLf:
      state_ = State::kEnded;
      return byte == '\n' ? abi::Reason::kNone : abi::Reason::kHttpBareCr;
    case State::kData:
    case State::kEnded:
      break;
  }
  return abi::Reason::kHttpFraming;
}

abi::Reason ChunkFramer::take_size(std::uint8_t byte) {
  if (is_class(byte, kClassHexDigit)) {
    const bool zero_before = digits_ > 0 && size_ == 0;
    if (zero_before && !rules_.leading_zeros) return abi::Reason::kHttpChunkSize;
    // Sixteen digits fill 64 bits; fewer are allowed for requests.
    if (++digits_ > rules_.digits_max) return abi::Reason::kHttpChunkSize;
    size_ = size_ << 4 | static_cast<std::uint64_t>(hex_value(byte));
    state_ = State::kSize;
    return abi::Reason::kNone;
  }
  if (byte == '\n') return abi::Reason::kHttpBareLf;
  if (state_ == State::kSizeFirst) return abi::Reason::kHttpChunkSize;
  if (byte == '\r') {
    state_ = State::kSizeLf;
    return abi::Reason::kNone;
  }
  if (byte != ';') return abi::Reason::kHttpChunkSize;
  if (!rules_.extensions) return abi::Reason::kHttpChunkExt;
  state_ = State::kExtension;
  line_bytes_ = 0;
  return abi::Reason::kNone;
}

abi::Reason ChunkFramer::take_extension(std::uint8_t byte) {
  if (byte == '\n') return abi::Reason::kHttpBareLf;
  if (byte == '\r') {
    state_ = State::kSizeLf;
    return abi::Reason::kNone;
  }
  const bool allowed = byte >= 0x20 && byte != 0x7f && ++line_bytes_ <= rules_.line_bytes_max;
  return allowed ? abi::Reason::kNone : abi::Reason::kHttpChunkExt;
}

abi::Reason ChunkFramer::end_size_line() {
  line_bytes_ = 0;
  if (size_ == 0) {
    state_ = State::kTrailerStart;
    return abi::Reason::kNone;
  }
  const bool tiny = chunks_ >= abi::kTinyChunksMax &&
                    (data_bytes_ + size_) / (chunks_ + 1) < abi::kTinyChunkBytes;
  if (tiny && rules_.tiny_chunks_refused) return abi::Reason::kHttpChunks;
  ++chunks_;
  data_bytes_ += size_;
  data_left_ = size_;
  state_ = State::kData;
  return abi::Reason::kNone;
}

abi::Reason ChunkFramer::take_trailer(std::uint8_t byte) {
  if (state_ == State::kTrailerLf) {
    state_ = State::kTrailerStart;
    return byte == '\n' ? abi::Reason::kNone : abi::Reason::kHttpBareCr;
  }
  if (byte == '\n') return abi::Reason::kHttpBareLf;
  if (byte == '\r') {
    state_ = state_ == State::kTrailerStart ? State::kEndLf : State::kTrailerLf;
    return abi::Reason::kNone;
  }
  state_ = State::kTrailer;
  const bool allowed = rules_.trailers && ++line_bytes_ <= rules_.line_bytes_max;
  return allowed ? abi::Reason::kNone : abi::Reason::kHttpTrailer;
}

}  // namespace sluice::http
