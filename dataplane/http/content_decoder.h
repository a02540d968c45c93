// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/block_pool.h"

struct z_stream_s;
struct BrotliDecoderStateStruct;

namespace sluice::http {

enum class ContentCoding : std::uint8_t {
  kIdentity,
  kGzip,     ///< gzip and x-gzip: every member of a concatenation
  kDeflate,  ///< zlib, or raw deflate as some send it: told apart by the first two bytes
  kBrotli,
  kUnsupported,  ///< unknown, stacked, or more than one field: body_encoding
};

/// The coding that the value of a Content-Encoding field names; without case. O(value).
[[nodiscard]] ContentCoding content_coding(std::string_view value);

struct ContentLimits {
  std::uint64_t output_bytes_max = abi::kDecodedBytesMax;
  std::uint32_t ratio_max = abi::kDecodedRatioMax;  ///< judged beyond kDecodedRatioFreeBytes
};

/// Decodes one layer of Content-Encoding as the body arrives, in memory of the arena (at most
/// abi::kInflateMemoryBytes, or kBrotliMemoryBytes for br).
class ContentDecoder {
 public:
  /// `coding`: not kUnsupported. `arena` must outlive the decoder.
  ContentDecoder(base::Arena& arena, ContentCoding coding, const ContentLimits& limits);
  ~ContentDecoder();
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;

  /// Calls sink(Bytes piece) with decoded bytes, at most abi::kDecodedPieceBytes at a
  /// time, each valid during the
  /// call. kNone, kBodyEncoding (broken, or bytes after the end), kBodyBomb or kTransactionMemory;
  /// an error stays. O(chunk + output), the output bounded by the limits.
  template <typename Sink>
  [[nodiscard]] abi::Reason feed(base::Bytes chunk, Sink&& sink) {
    while (reason_ == abi::Reason::kNone) {
      const base::Bytes piece = next(chunk);
      if (!piece.empty()) sink(piece);
      if (piece.empty()) break;
    }
    return reason_;
  }
  /// The body has ended: kBodyEncoding if the coded stream has not.
  [[nodiscard]] abi::Reason finish();

  [[nodiscard]] std::uint64_t input_bytes() const { return input_bytes_; }
  [[nodiscard]] std::uint64_t output_bytes() const { return output_bytes_; }

 private:
  base::Bytes next(base::Bytes& chunk);
  base::Bytes next_zlib(base::Bytes& chunk);
  base::Bytes next_brotli(base::Bytes& chunk);
  bool start_deflate(base::Bytes& chunk);
  void start_zlib(int window_bits);

  BlockPool pool_;
  ContentLimits limits_;
  ContentCoding coding_;
  std::uint8_t* output_ = nullptr;
  z_stream_s* zlib_ = nullptr;
  BrotliDecoderStateStruct* brotli_ = nullptr;
  std::uint64_t input_bytes_ = 0, output_bytes_ = 0;
  abi::Reason reason_ = abi::Reason::kNone;
  std::uint8_t first_byte_ = 0;  ///< of a deflate body, until the second is there
  bool first_known_ = false;
  bool output_waits_ = false;
  bool ended_ = false;
};

}  // namespace sluice::http
