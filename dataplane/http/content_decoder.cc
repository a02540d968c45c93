// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/content_decoder.h"

#include <brotli/decode.h>
#include <zlib.h>

#include <cstring>
#include <new>

#include "dataplane/http/characters.h"
#include "dataplane/http/head.h"

namespace sluice::http {
namespace {

using abi::Reason;

constexpr int kWindowBits = 15;
constexpr int kGzip = 16;  // added: zlib's way to ask for a gzip header

void* zlib_allocate(void* pool, unsigned count, unsigned size) {
  return static_cast<BlockPool*>(pool)->allocate(std::size_t{count} * size);
}
void zlib_release(void* pool, void* block) { static_cast<BlockPool*>(pool)->release(block); }
void* brotli_allocate(void* pool, std::size_t size) {
  return static_cast<BlockPool*>(pool)->allocate(size);
}
void brotli_release(void* pool, void* block) { static_cast<BlockPool*>(pool)->release(block); }

std::size_t memory_max(ContentCoding coding) {
  return coding == ContentCoding::kBrotli ? abi::kBrotliMemoryBytes : abi::kInflateMemoryBytes;
}

/// RFC 1950 section 2.2: method 8, window at most 32 KiB, and the two bytes a multiple of 31.
bool is_zlib_header(std::uint8_t first, std::uint8_t second) {
  return (first & 0x0f) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0;
}

}  // namespace

ContentCoding content_coding(std::string_view value) {
  const std::string_view name = trim_ows(value);
  if (name.empty() || abi::equal_ignoring_case(name, "identity")) return ContentCoding::kIdentity;
  if (abi::equal_ignoring_case(name, "gzip") || abi::equal_ignoring_case(name, "x-gzip")) {
    return ContentCoding::kGzip;
  }
  if (abi::equal_ignoring_case(name, "deflate")) return ContentCoding::kDeflate;
  if (abi::equal_ignoring_case(name, "br")) return ContentCoding::kBrotli;
  return ContentCoding::kUnsupported;
}

ContentDecoder::ContentDecoder(base::Arena& arena, ContentCoding coding,
                               const ContentLimits& limits)
    : pool_(arena, memory_max(coding)), limits_(limits), coding_(coding) {
  if (coding == ContentCoding::kIdentity) return;
  output_ = static_cast<std::uint8_t*>(arena.allocate(abi::kDecodedPieceBytes, 16));
  if (output_ == nullptr) reason_ = Reason::kTransactionMemory;
  if (coding == ContentCoding::kGzip) start_zlib(kWindowBits + kGzip);
  if (coding == ContentCoding::kBrotli) {
    brotli_ = BrotliDecoderCreateInstance(brotli_allocate, brotli_release, &pool_);
    if (brotli_ == nullptr) reason_ = Reason::kTransactionMemory;
  }
  if (coding == ContentCoding::kUnsupported) reason_ = Reason::kBodyEncoding;
}

ContentDecoder::~ContentDecoder() {
  if (zlib_ != nullptr) inflateEnd(zlib_);
  if (brotli_ != nullptr) BrotliDecoderDestroyInstance(brotli_);
}

void ContentDecoder::start_zlib(int window_bits) {
  void* const memory = pool_.allocate(sizeof(z_stream));
  if (memory == nullptr) {
    reason_ = Reason::kTransactionMemory;
    return;
  }
  auto* const stream = new (memory) z_stream{};
  stream->zalloc = zlib_allocate;
  stream->zfree = zlib_release;
  stream->opaque = &pool_;
  if (inflateInit2(stream, window_bits) != Z_OK) {
    reason_ = Reason::kTransactionMemory;
    return;
  }
  zlib_ = stream;
}

/// "deflate" is zlib's format by RFC 9110, and raw deflate by what some clients send.
bool ContentDecoder::start_deflate(base::Bytes& chunk) {
  if (first_known_ || chunk.size() >= 2) {
    const std::uint8_t first = first_known_ ? first_byte_ : chunk[0];
    const std::uint8_t second = first_known_ ? chunk[0] : chunk[1];
    start_zlib(is_zlib_header(first, second) ? kWindowBits : -kWindowBits);
    return reason_ == Reason::kNone;
  }
  first_byte_ = chunk[0];
  first_known_ = true;
  chunk = {};
  return false;
}

base::Bytes ContentDecoder::next(base::Bytes& chunk) {
  if (coding_ == ContentCoding::kIdentity) {
    const base::Bytes all = chunk;
    chunk = {};
    input_bytes_ += all.size();
    output_bytes_ += all.size();
    return all;
  }
  if (chunk.empty() && !output_waits_) return {};
  if (coding_ == ContentCoding::kDeflate && zlib_ == nullptr && !start_deflate(chunk)) return {};
  base::Bytes piece;
  while (piece.empty() && reason_ == Reason::kNone && (!chunk.empty() || output_waits_)) {
    piece = brotli_ != nullptr ? next_brotli(chunk) : next_zlib(chunk);
  }
  output_bytes_ += piece.size();
  const bool bomb = output_bytes_ > limits_.output_bytes_max ||
                    (output_bytes_ > abi::kDecodedRatioFreeBytes &&
                     output_bytes_ / limits_.ratio_max > input_bytes_);
  if (bomb) reason_ = Reason::kBodyBomb;
  return piece;
}

base::Bytes ContentDecoder::next_zlib(base::Bytes& chunk) {
  if (ended_) {
    // Another gzip member, or bytes that some would ignore.
    if (coding_ != ContentCoding::kGzip || inflateReset(zlib_) != Z_OK) {
      reason_ = Reason::kBodyEncoding;
      return {};
    }
    ended_ = false;
  }
  const bool held = first_known_;
  zlib_->next_in = held ? &first_byte_ : const_cast<std::uint8_t*>(chunk.data());
  const auto given = held ? 1u : static_cast<unsigned>(chunk.size());
  zlib_->avail_in = given;
  zlib_->next_out = output_;
  zlib_->avail_out = abi::kDecodedPieceBytes;
  const int result = inflate(zlib_, Z_NO_FLUSH);
  const unsigned used = given - zlib_->avail_in;
  input_bytes_ += used;
  if (held) {
    first_known_ = used == 0;
  } else {
    chunk = chunk.subspan(used);
  }
  output_waits_ = zlib_->avail_out == 0;
  ended_ = result == Z_STREAM_END;
  if (ended_) output_waits_ = false;
  if (result == Z_MEM_ERROR) {
    reason_ = Reason::kTransactionMemory;
  } else if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
    reason_ = Reason::kBodyEncoding;
  }
  return {output_, abi::kDecodedPieceBytes - zlib_->avail_out};
}

base::Bytes ContentDecoder::next_brotli(base::Bytes& chunk) {
  if (ended_) {
    reason_ = Reason::kBodyEncoding;
    return {};
  }
  const std::uint8_t* input = chunk.data();
  std::size_t input_left = chunk.size();
  std::uint8_t* output = output_;
  std::size_t output_left = abi::kDecodedPieceBytes;
  const BrotliDecoderResult result =
      BrotliDecoderDecompressStream(brotli_, &input_left, &input, &output_left, &output, nullptr);
  input_bytes_ += chunk.size() - input_left;
  chunk = chunk.subspan(chunk.size() - input_left);
  output_waits_ = result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
  ended_ = result == BROTLI_DECODER_RESULT_SUCCESS;
  if (result == BROTLI_DECODER_RESULT_ERROR) {
    reason_ = pool_.full() ? Reason::kTransactionMemory : Reason::kBodyEncoding;
  }
  return {output_, abi::kDecodedPieceBytes - output_left};
}

Reason ContentDecoder::finish() {
  const bool whole = coding_ == ContentCoding::kIdentity || ended_ ||
                     (input_bytes_ == 0 && !first_known_);  // an empty body stays empty
  if (reason_ == Reason::kNone && !whole) reason_ = Reason::kBodyEncoding;
  return reason_;
}

}  // namespace sluice::http
