// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/reasons.h"
#include "dataplane/abi/strict.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/arena_buffer.h"
#include "dataplane/http/multipart_head.h"

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

/// The head of a part. Views into the decoder's memory, valid until part_end().
struct MultipartPart {
  std::string_view name, filename;
  std::string_view raw_name, raw_filename;  ///< with the escapes that these had
  bool has_filename = false;
  /// With a non-empty filename a part is a file (FILES), else a field (ARGS_POST).
  [[nodiscard]] bool is_file() const { return !filename.empty(); }
};

/// Reads a multipart/form-data body as it arrives, in fixed memory: the head of the current part
/// (at most abi::kMultipartPartHeadBytesMax) and the place within a candidate for a boundary.
///
/// Sink, in this order for each part: part_begin(const MultipartPart&),
/// part_header(std::string_view line without its line end) for each line, part_data(Bytes piece)
/// any number of times, part_end(). What libmodsecurity takes out of field values (their inner line
/// ends) stays in, as in ModSecurity 2. Parts are given as they come: after flags().error some that
/// the reference discards.
class MultipartDecoder {
 public:
  /// `arena` must outlive the decoder; `boundary` is copied into it.
  MultipartDecoder(base::Arena& arena, const MultipartBoundary& boundary);

  /// O(chunk). False after an error; reading goes on, so that flags are complete.
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
  /// For REQBODY_ERROR_MSG; empty without error.
  [[nodiscard]] std::string_view error_text() const { return error_text_; }
  /// A limit that fails closed whatever the switches say: kNone, kHttpArgs (parts, or the head of
  /// one) or kTransactionMemory.
  [[nodiscard]] abi::Reason reason() const { return reason_; }
  /// Switches of abi/strict.h that the body fails, as abi::strict_bit(): wider than flags(), all
  /// that HB2, HB7 and HB8 list.
  [[nodiscard]] std::uint64_t strict_failures() const;

 private:
  struct Token {
    enum Kind : std::uint8_t { kNeedMore, kPart, kData, kEnd } kind = kNeedMore;
    base::Bytes bytes;
  };
  enum class State : std::uint8_t { kPreamble, kHead, kData, kEpilogue, kFailed };
  /// What a line has been so far.
  enum class Line : std::uint8_t {
    kStart,     ///< its first matched_ bytes are those of the delimiter
    kBoundary,  ///< the delimiter, and what is in tail_
    kOther,
  };
  struct HeadLine {
    std::uint32_t start, size;
  };

  template <typename Sink>
  void give(const Token& token, Sink& sink) {
    if (token.kind == Token::kData) sink.part_data(token.bytes);
    if (token.kind == Token::kEnd) sink.part_end();
    if (token.kind != Token::kPart) return;
    sink.part_begin(part_);
    for (std::size_t i = 0; i < lines_.size(); ++i) sink.part_header(head_line(i));
  }

  [[nodiscard]] std::string_view head_line(std::size_t index) const {
    return head_.text().substr(lines_[index].start, lines_[index].size);
  }
  [[nodiscard]] std::size_t delimiter_size() const { return delimiter_.size() - 2; }
  Token next(base::Bytes& chunk);
  Token next_at_end();
  Token match_start(base::Bytes& chunk);
  Token not_a_boundary();
  Token in_boundary(base::Bytes& chunk);
  Token end_boundary(bool lf_alone);
  Token in_data(base::Bytes& chunk);
  void in_preamble(base::Bytes& chunk);
  Token in_head(base::Bytes& chunk);
  Token end_head_line();
  Token end_head();
  bool read_part_head();
  bool read_part_disposition(std::string_view value);
  void check_part_field(std::string_view name, std::string_view value);
  void ambiguous_head();
  bool append_head(base::Bytes bytes);
  void start_line();
  bool compute_borders();
  void look_inside(base::Bytes data);
  [[nodiscard]] base::Bytes delimiter() const { return {delimiter_.data() + 2, delimiter_size()}; }
  void note_line_end(bool lf_alone);
  void fail(std::string_view text);
  void exceed(abi::Reason reason);

  ArenaBuffer delimiter_;               ///< CR LF, two dashes, the boundary
  ArenaBuffer head_;                    ///< lines of the current part's head
  ArenaBuffer unquoted_;                ///< parameters of its Content-Disposition that had escapes
  ArenaVector<std::uint16_t> borders_;  ///< of the delimiter's prefixes: Knuth, Morris, Pratt
  ArenaVector<HeadLine> lines_;
  MultipartPart part_;
  MultipartFlags flags_;
  std::string_view error_text_;
  std::uint64_t strict_failures_ = 0;
  std::uint32_t matched_ = 0;
  std::uint32_t inner_matched_ = 0;  ///< of the delimiter, inside a line of data
  std::uint32_t parts_ = 0;
  std::uint32_t boundaries_ = 0;
  std::uint32_t line_at_ = 0;  ///< where the current line begins in head_
  std::array<std::uint8_t, 3> tail_{};
  std::uint8_t tail_size_ = 0;
  std::uint8_t line_end_ = 0;  ///< bytes of the line end held back: 0 none, 1 LF, 2 CR LF
  bool cr_held_ = false;
  bool first_line_ = false;  ///< of a part's data: a boundary here leaves it none
  State state_ = State::kPreamble;
  Line line_ = Line::kStart;
  abi::Reason reason_ = abi::Reason::kNone;
};

}  // namespace sluice::http
