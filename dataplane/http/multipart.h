// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/arena_buffer.h"

namespace sluice::http {

/// The MULTIPART_* flags of ModSecurity 3 (its reference manual; seclang-semantics.md 3.5).
struct MultipartFlags {
  bool boundary_quoted = false;
  bool boundary_whitespace = false;
  bool data_before = false;
  bool data_after = false;
  bool header_folding = false;
  bool invalid_header_folding = false;
  bool lf_line = false;
  bool crlf_line = false;
  bool missing_semicolon = false;
  bool invalid_quoting = false;
  bool invalid_part = false;
  bool error = false;                   ///< REQBODY_ERROR: what came after is unreliable
  std::uint8_t unmatched_boundary = 0;  ///< 0, 1 or 2

  [[nodiscard]] bool crlf_lf_lines() const { return lf_line && crlf_line; }
  /// MULTIPART_STRICT_ERROR, but for the file limit, which is not the parser's.
  [[nodiscard]] bool strict_error() const {
    return error || boundary_quoted || boundary_whitespace || data_before || data_after ||
           header_folding || lf_line || missing_semicolon || invalid_quoting || invalid_part ||
           invalid_header_folding;
  }
};

/// The boundary parameter of a multipart/form-data Content-Type.
struct MultipartBoundary {
  std::string_view text;  ///< view into the field value; empty: none, or not acceptable (`error`)
  bool quoted = false, whitespace = false, missing_semicolon = false;
  bool error = false;  ///< ModSecurity 3 refuses it: REQBODY_ERROR, nothing parsed
  /// Servers read it differently (HB6): beyond `error`, anything but one parameter of 1 to 70
  /// RFC 2046 characters, a token or quoted, not ending in a blank. Reason multipart_boundary.
  bool ambiguous = false;
};

/// Finds the boundary in the value of a Content-Type field. O(value).
[[nodiscard]] MultipartBoundary multipart_boundary(std::string_view content_type);

/// The head of a part. Views into the decoder's memory, valid until part_end().
struct MultipartPart {
  std::string_view name, filename;
  bool has_filename = false;
  /// With a non-empty filename a part is a file (FILES), else a field (ARGS_POST).
  [[nodiscard]] bool is_file() const { return !filename.empty(); }
};

/// Reads a multipart/form-data body as it arrives, in fixed memory: the head of the current part
/// (at most abi::kMultipartPartHeadBytesMax) and a candidate for a boundary.
///
/// Sink, in this order for each part: part_begin(const MultipartPart&),
/// part_header(std::string_view line without its line end) for each line, part_data(Bytes piece)
/// any number of times, part_end(). What libmodsecurity takes out of field values (their inner line
/// ends) stays in, as in ModSecurity 2. After flags().error parts may have been given that the
/// reference discards.
class MultipartDecoder {
 public:
  /// `arena` must outlive the decoder; `boundary` is copied into it.
  MultipartDecoder(base::Arena& arena, const MultipartBoundary& boundary);

  /// O(chunk). False after an error: the rest of the body is still looked at for flags.
  template <typename Sink>
  bool feed(base::Bytes chunk, Sink& sink) {
    for (Token token = next(chunk); token.kind != Token::kNeedMore; token = next(chunk)) {
      give(token, sink);
    }
    return !flags_.error;
  }
  /// The body has ended. False where the final boundary is missing, or after an earlier error.
  template <typename Sink>
  bool finish(Sink& sink) {
    for (Token token = next_at_end(); token.kind != Token::kNeedMore; token = next_at_end()) {
      give(token, sink);
    }
    return !flags_.error;
  }

  [[nodiscard]] const MultipartFlags& flags() const { return flags_; }
  /// For REQBODY_ERROR_MSG.
  [[nodiscard]] std::string_view error_text() const { return error_text_; }
  /// A limit that fails closed whatever the switches say: kNone, kHttpArgs (parts, or the head of
  /// one) or kTransactionMemory.
  [[nodiscard]] abi::Reason reason() const { return reason_; }
  /// Switches of abi/strict.h that the body fails, as abi::strict_bit(): wider than flags(), all
  /// that HB2, HB7 and HB8 list.
  [[nodiscard]] std::uint64_t strict_failures() const { return strict_failures_; }

 private:
  struct Token {
    enum Kind : std::uint8_t { kNeedMore, kPart, kData, kEnd } kind = kNeedMore;
    base::Bytes bytes;
  };
  template <typename Sink>
  void give(const Token& token, Sink& sink) {
    if (token.kind == Token::kData) sink.part_data(token.bytes);
    if (token.kind == Token::kEnd) sink.part_end();
    if (token.kind != Token::kPart) return;
    sink.part_begin(part_);
    for (std::size_t i = 0; i < lines_.size(); ++i) sink.part_header(line(i));
  }
  struct Line {
    std::uint32_t start, size;
  };
  [[nodiscard]] std::string_view line(std::size_t index) const;
  Token next(base::Bytes& chunk);
  Token next_at_end();

  ArenaBuffer delimiter_, head_;
  ArenaVector<Line> lines_;
  MultipartPart part_;
  MultipartFlags flags_;
  std::string_view error_text_;
  std::uint64_t strict_failures_ = 0;
  abi::Reason reason_ = abi::Reason::kNone;
};

}  // namespace sluice::http
