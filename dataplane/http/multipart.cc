// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/multipart.h"

#include <algorithm>
#include <cstring>

#include "dataplane/abi/limits.h"
#include "dataplane/http/characters.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/head.h"

namespace sluice::http {
namespace {

constexpr std::array<std::uint8_t, 1> kCarriageReturn = {'\r'};

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_space(char c) { return is_blank(c) || c == '\v' || c == '\f' || c == '\r'; }

}  // namespace

MultipartDecoder::MultipartDecoder(base::Arena& arena, const MultipartBoundary& boundary) {
  delimiter_.start(arena);
  head_.start(arena);
  unquoted_.start(arena);
  lines_.start(arena);
  flags_.boundary_quoted = boundary.quoted;
  flags_.boundary_whitespace = boundary.whitespace;
  flags_.missing_semicolon = boundary.missing_semicolon;
  if (boundary.ambiguous) strict_failures_ |= strict_bit(abi::Strict::kMultipartBoundary);
  if (boundary.error || boundary.text.empty()) {
    fail("Multipart parsing error: Multipart: Invalid boundary in C-T.");
    state_ = State::kFailed;
    return;
  }
  const base::Bytes start = base::as_bytes("\r\n--");
  const base::Bytes text = base::as_bytes(boundary.text);
  borders_.start(arena);
  if (!delimiter_.append(start.data(), start.size()) ||
      !delimiter_.append(text.data(), text.size()) || !compute_borders()) {
    exceed(abi::Reason::kTransactionMemory);
  }
}

void MultipartDecoder::fail(std::string_view text) {
  if (!flags_.error) error_text_ = text;
  flags_.error = true;
}

void MultipartDecoder::exceed(abi::Reason reason) {
  fail("Multipart parsing error: limit exceeded.");
  reason_ = reason;
  state_ = State::kFailed;
}

/// borders_[n]: the longest proper border of the delimiter's first n + 1 bytes.
bool MultipartDecoder::compute_borders() {
  const base::Bytes text = delimiter();
  if (!borders_.push(0)) return false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    std::size_t border = borders_[i - 1];
    while (border > 0 && text[i] != text[border]) border = borders_[border - 1];
    if (text[i] == text[border]) ++border;
    if (!borders_.push(static_cast<std::uint16_t>(border))) return false;
  }
  return true;
}

/// A delimiter inside a line is no boundary, but a reader that does not care for lines takes it.
void MultipartDecoder::look_inside(base::Bytes data) {
  const base::Bytes text = delimiter();
  std::size_t i = 0;
  while (i < data.size() && flags_.unmatched_boundary != 1) {
    if (inner_matched_ == 0) {
      const auto* const dash =
          static_cast<const std::uint8_t*>(std::memchr(data.data() + i, '-', data.size() - i));
      if (dash == nullptr) return;
      i = static_cast<std::size_t>(dash - data.data());
    }
    while (inner_matched_ > 0 && data[i] != text[inner_matched_]) {
      inner_matched_ = borders_[inner_matched_ - 1];
    }
    if (data[i] == text[inner_matched_]) ++inner_matched_;
    if (inner_matched_ == text.size()) {
      flags_.unmatched_boundary = 1;
      inner_matched_ = 0;
    }
    ++i;
  }
}

void MultipartDecoder::start_line() {
  line_ = Line::kStart;
  matched_ = 0;
  tail_size_ = 0;
  cr_held_ = false;
  inner_matched_ = 0;
}

void MultipartDecoder::note_line_end(bool lf_alone) {
  (lf_alone ? flags_.lf_line : flags_.crlf_line) = true;
}

MultipartDecoder::Token MultipartDecoder::next(base::Bytes& chunk) {
  Token token;
  while (!chunk.empty() && token.kind == Token::kNeedMore) {
    if (state_ == State::kFailed || state_ == State::kEpilogue) {
      flags_.data_after |= state_ == State::kEpilogue;
      chunk = {};
    } else if (line_ == Line::kStart) {
      token = match_start(chunk);
    } else if (line_ == Line::kBoundary) {
      token = in_boundary(chunk);
    } else if (state_ == State::kData) {
      token = in_data(chunk);
    } else if (state_ == State::kHead) {
      token = in_head(chunk);
    } else {
      in_preamble(chunk);
    }
  }
  return token;
}

/// The line so far is the start of the delimiter: take what goes on so.
MultipartDecoder::Token MultipartDecoder::match_start(base::Bytes& chunk) {
  const base::Bytes text = delimiter();
  std::size_t size = 0;
  while (size < chunk.size() && matched_ < text.size() && chunk[size] == text[matched_]) {
    ++size;
    ++matched_;
  }
  chunk = chunk.subspan(size);
  if (matched_ == text.size()) {
    line_ = Line::kBoundary;
    return {};
  }
  if (chunk.empty()) return {};
  // The reference flags lines that begin with two dashes, but for one of three bytes.
  if (matched_ > 2 || (matched_ == 2 && chunk[0] != '\n')) flags_.unmatched_boundary = 1;
  return not_a_boundary();
}

/// What was held back as a possible boundary is data, or part of a head.
MultipartDecoder::Token MultipartDecoder::not_a_boundary() {
  line_ = Line::kOther;
  inner_matched_ = matched_;
  const base::Bytes held = {delimiter_.data() + 2 - line_end_, line_end_ + matched_};
  line_end_ = 0;
  if (state_ == State::kData && !held.empty()) return {Token::kData, held};
  if (state_ == State::kHead) (void)append_head(held);
  return {};
}

/// Behind the delimiter: nothing or two dashes, then the line's end.
MultipartDecoder::Token MultipartDecoder::in_boundary(base::Bytes& chunk) {
  while (!chunk.empty()) {
    const std::uint8_t byte = chunk[0];
    chunk = chunk.subspan(1);
    if (byte == '\n') {
      const bool cr = tail_size_ > 0 && tail_[tail_size_ - 1] == '\r';
      if (cr) --tail_size_;
      return end_boundary(!cr);
    }
    if (tail_size_ < tail_.size()) {
      tail_[tail_size_++] = byte;
    } else {
      fail("Multipart parsing error: Multipart: Invalid boundary.");
      strict_failures_ |= strict_bit(abi::Strict::kMultipartStructure);
    }
  }
  return {};
}

MultipartDecoder::Token MultipartDecoder::end_boundary(bool lf_alone) {
  const std::string_view tail = base::as_text({tail_.data(), tail_size_});
  const bool final = tail == "--";
  if (!tail.empty() && !final) fail("Multipart parsing error: Multipart: Invalid boundary.");
  note_line_end(lf_alone);
  if (line_end_ == 1) flags_.lf_line = true;
  if (line_end_ == 2) flags_.crlf_line = true;
  if (state_ == State::kHead) {
    flags_.invalid_part = true;
    fail("Multipart parsing error: Multipart: Part missing Content-Disposition header.");
  }
  const bool ended = state_ == State::kData;
  // The reference takes this boundary for data, others end the part: no error, but a strict one.
  if (ended && first_line_) flags_.invalid_part = true;
  ++boundaries_;
  if (boundaries_ > 1) flags_.unmatched_boundary = 2;
  line_end_ = 0;
  state_ = final ? State::kEpilogue : State::kHead;
  head_.truncate(0);
  lines_.truncate(0);
  line_at_ = 0;
  start_line();
  if (state_ == State::kHead && ++parts_ > abi::kMultipartPartsMax) exceed(abi::Reason::kHttpArgs);
  return ended ? Token{Token::kEnd, {}} : Token{};
}

/// Data up to the line's end, which is held back: it belongs to a boundary, if one follows.
MultipartDecoder::Token MultipartDecoder::in_data(base::Bytes& chunk) {
  if (cr_held_) {
    cr_held_ = false;
    if (chunk[0] != '\n') {
      look_inside(kCarriageReturn);
      return {Token::kData, kCarriageReturn};
    }
    chunk = chunk.subspan(1);
    start_line();
    line_end_ = 2;
    first_line_ = false;
    return {};
  }
  const auto* const lf =
      static_cast<const std::uint8_t*>(std::memchr(chunk.data(), '\n', chunk.size()));
  const std::size_t size =
      lf == nullptr ? chunk.size() : static_cast<std::size_t>(lf - chunk.data());
  const bool cr = size > 0 && chunk[size - 1] == '\r';
  const base::Bytes data = chunk.first(cr ? size - 1 : size);
  look_inside(data);
  first_line_ = first_line_ && lf == nullptr;
  chunk = chunk.subspan(lf == nullptr ? size : size + 1);
  if (lf != nullptr) {
    start_line();
    line_end_ = cr ? 2 : 1;
  } else {
    cr_held_ = cr;
  }
  return data.empty() ? Token{} : Token{Token::kData, data};
}

void MultipartDecoder::in_preamble(base::Bytes& chunk) {
  flags_.data_before = true;
  const auto* const lf =
      static_cast<const std::uint8_t*>(std::memchr(chunk.data(), '\n', chunk.size()));
  if (lf == nullptr) {
    chunk = {};
    return;
  }
  chunk = chunk.subspan(static_cast<std::size_t>(lf - chunk.data()) + 1);
  start_line();
}

bool MultipartDecoder::append_head(base::Bytes bytes) {
  if (head_.size() + bytes.size() > abi::kMultipartPartHeadBytesMax) {
    exceed(abi::Reason::kHttpArgs);
    return false;
  }
  if (!head_.append(bytes.data(), bytes.size())) {
    exceed(abi::Reason::kTransactionMemory);
    return false;
  }
  return true;
}

MultipartDecoder::Token MultipartDecoder::in_head(base::Bytes& chunk) {
  const auto* const lf =
      static_cast<const std::uint8_t*>(std::memchr(chunk.data(), '\n', chunk.size()));
  const std::size_t size =
      lf == nullptr ? chunk.size() : static_cast<std::size_t>(lf - chunk.data());
  if (!append_head(chunk.first(size))) return {};
  chunk = chunk.subspan(lf == nullptr ? size : size + 1);
  if (lf == nullptr) return {};
  return end_head_line();
}

MultipartDecoder::Token MultipartDecoder::end_head_line() {
  std::string_view line = head_.text().substr(line_at_);
  const bool cr = line.ends_with('\r');
  if (cr) line.remove_suffix(1);
  note_line_end(!cr);
  start_line();
  if (line.empty()) return end_head();
  const HeadLine entry{.start = line_at_, .size = static_cast<std::uint32_t>(line.size())};
  line_at_ = static_cast<std::uint32_t>(head_.size());
  if (is_space(line.front()) && !lines_.empty()) {
    flags_.header_folding = true;
    if (!is_blank(line.front())) flags_.invalid_header_folding = true;
    // The line before takes it in, its line end with it.
    lines_.back().size = entry.start + entry.size - lines_.back().start;
    return {};
  }
  if (!lines_.push(entry)) exceed(abi::Reason::kTransactionMemory);
  return {};
}

MultipartDecoder::Token MultipartDecoder::end_head() {
  part_ = MultipartPart();
  if (!read_part_head()) fail("Multipart parsing error: Multipart: Invalid part header.");
  line_end_ = 0;
  if (state_ == State::kFailed) return {};
  state_ = State::kData;
  first_line_ = true;
  return {Token::kPart, {}};
}

/// The fields of a part's head. False: an error of the reference.
bool MultipartDecoder::read_part_head() {
  bool good = true, found = false;
  const std::size_t unquoted_max = head_.size();
  if (!unquoted_.reserve(unquoted_max)) {
    exceed(abi::Reason::kTransactionMemory);
    return false;
  }
  unquoted_.truncate(0);
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const std::string_view line = head_line(i);
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const bool shaped =
        colon != std::string_view::npos && colon > 0 && line.find('\0') == std::string_view::npos;
    if (!shaped || !all_of_class(name, kClassToken)) ambiguous_head();
    if (!shaped) {
      good = false;
      continue;
    }
    const std::string_view value = trim_ows(line.substr(colon + 1));
    for (const char c : value) {
      if (static_cast<std::uint8_t>(c) < 0x20 && c != '\t') ambiguous_head();
    }
    if (abi::equal_ignoring_case(name, "content-disposition")) {
      if (found) ambiguous_head();
      if (!found) good &= read_part_disposition(value);
      found = true;
    } else {
      check_part_field(name, value);
    }
  }
  return good && found;
}

bool MultipartDecoder::read_part_disposition(std::string_view value) {
  const Disposition read = read_disposition(value, unquoted_);
  part_.name = read.name;
  part_.filename = read.filename;
  part_.raw_name = read.raw_name;
  part_.raw_filename = read.raw_filename;
  part_.has_filename = read.has_filename;
  flags_.invalid_quoting |= read.invalid_quoting;
  flags_.invalid_part |= !read.has_name;
  if (read.ambiguous || read.error) ambiguous_head();
  if (read.name == "_charset_") strict_failures_ |= strict_bit(abi::Strict::kBodyCharset);
  return !read.error;
}

/// HB2, HB7, HB8: what changes the meaning of the part's data for some servers.
void MultipartDecoder::check_part_field(std::string_view name, std::string_view value) {
  if (abi::equal_ignoring_case(name, "content-transfer-encoding")) {
    const bool plain = abi::equal_ignoring_case(value, "7bit") ||
                       abi::equal_ignoring_case(value, "8bit") ||
                       abi::equal_ignoring_case(value, "binary");
    if (!plain) ambiguous_head();
  }
  if (!abi::equal_ignoring_case(name, "content-type")) return;
  const MediaType type = parse_media_type(value);
  if (type.type.size() > 10 && abi::equal_ignoring_case(type.type.substr(0, 10), "multipart/")) {
    strict_failures_ |= strict_bit(abi::Strict::kMultipartStructure);
  }
  if (type.repeated || !allowed_charset(type.charset)) {
    strict_failures_ |= strict_bit(abi::Strict::kBodyCharset);
  }
}

void MultipartDecoder::ambiguous_head() {
  strict_failures_ |= strict_bit(abi::Strict::kMultipartHeaders);
}

MultipartDecoder::Token MultipartDecoder::next_at_end() {
  if (state_ == State::kFailed || state_ == State::kEpilogue) return {};
  const std::string_view tail = base::as_text({tail_.data(), tail_size_});
  if (line_ == Line::kBoundary && (tail == "--" || tail == "--\r")) {  // its line end may lack
    tail_size_ = 2;
    const bool ended = state_ == State::kData;
    const std::uint8_t unmatched = flags_.unmatched_boundary;
    (void)end_boundary(line_end_ == 1);
    flags_.unmatched_boundary = unmatched;  // the reference counts lines with an end alone
    return ended ? Token{Token::kEnd, {}} : Token{};
  }
  if (state_ == State::kData && line_ == Line::kStart) {
    const Token held = not_a_boundary();
    if (held.kind != Token::kNeedMore) return held;
  }
  if (cr_held_) {
    cr_held_ = false;
    return {Token::kData, kCarriageReturn};
  }
  const bool ended = state_ == State::kData;
  fail(boundaries_ == 0 ? "Multipart parsing error: Multipart: No boundaries found in payload."
                        : "Multipart parsing error: Multipart: Final boundary missing.");
  strict_failures_ |= strict_bit(abi::Strict::kMultipartStructure);
  state_ = State::kFailed;
  return ended ? Token{Token::kEnd, {}} : Token{};
}

std::uint64_t MultipartDecoder::strict_failures() const {
  std::uint64_t failures = strict_failures_;
  if (flags_.data_before || flags_.data_after || flags_.header_folding || flags_.lf_line) {
    failures |= strict_bit(abi::Strict::kMultipartStructure);
  }
  if (flags_.invalid_quoting || flags_.invalid_part) {
    failures |= strict_bit(abi::Strict::kMultipartHeaders);
  }
  return failures;
}

}  // namespace sluice::http
