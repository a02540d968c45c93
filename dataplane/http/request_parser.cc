// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/request_parser.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/http/characters.h"
#include "dataplane/http/head_reader.h"

namespace sluice::http {
namespace {

using abi::Reason;

constexpr ChunkRules kStrictChunks{};
constexpr ChunkRules kLenientChunks{.digits_max = 16,
                                    .leading_zeros = true,
                                    .extensions = true,
                                    .trailers = true,
                                    .tiny_chunks_refused = false,
                                    .line_bytes_max = 1u << 20};

/// What began is no HTTP request in any reading.
bool unreadable(Reason reason) {
  return reason == Reason::kHttpNotHttp || reason == Reason::kTlsUninspected ||
         reason == Reason::kHttpH2Preface || reason == Reason::kTransactionMemory;
}

}  // namespace

void RequestParser::reset(EmptyLine line) {
  state_ = State::kComplete;
  reason_ = Reason::kNone;
  empty_line_ = line;
  readable_ = lenient_ = closed_ = head_ended_ = false;
}

void RequestParser::begin(base::Arena& arena, const HeadLimits& limits) {
  if (state_ == State::kUnparsed) return;
  SLUICE_CHECK(state_ == State::kComplete);
  arena_ = &arena;
  limits_ = limits;
  buffer_.start(arena);
  scanner_.start(limits, empty_line_ == EmptyLine::kHalf);
  head_ = RequestHead();
  state_ = State::kHead;
  reason_ = Reason::kNone;
  readable_ = lenient_ = head_ended_ = false;
}

Step RequestParser::feed(base::Bytes chunk) {
  switch (state_) {
    case State::kHead:
      return feed_head(chunk);
    case State::kHeadGiven:
      return start_body(chunk);
    case State::kLength:
      return feed_length(chunk);
    case State::kChunked:
      return feed_chunked(chunk);
    case State::kLenientHead:
      return feed_lenient_head(chunk);
    case State::kLenientHeadReady:
      state_ = State::kHeadGiven;
      return {Event::kHeadComplete, 0, {}};
    case State::kRefused:
      return {Event::kRefused, 0, {}};
    case State::kUnparsed:
      return {Event::kUnparsed, chunk.size(), {}};
    case State::kComplete:
      break;
  }
  SLUICE_CHECK(chunk.empty());  // begin() was due
  return {};
}

/// Bytes of the start line that have come, without its line end.
std::string_view RequestParser::start_line() const {
  std::string_view line = buffer_.text();
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Tells what is no request at all from what is a bad one, at its first byte if possible.
Reason RequestParser::check_start(std::uint32_t lines) const {
  const std::uint8_t first = buffer_.data()[0];
  if (first == ' ' || first == '\t') return Reason::kHttpRequestLine;
  if (!is_class(first, kClassToken)) return Reason::kHttpNotHttp;
  if (lines == 0) return Reason::kNone;
  RequestHead line_only;
  return read_request_line(start_line(), line_only);
}

Step RequestParser::feed_head(base::Bytes chunk) {
  std::size_t used = 0;
  while (true) {
    const base::Bytes rest = chunk.subspan(used);
    const HeadScanner::Result result = scanner_.scan(rest);
    const base::Bytes taken = rest.first(result.consumed);
    used += result.consumed;
    const base::Bytes after = chunk.subspan(used);
    if (!buffer_.append(taken.data(), taken.size())) {
      return refuse(Reason::kTransactionMemory, used);
    }
    if (closed_ && !scanner_.idle()) return refuse_head(Reason::kHttpAfterClose, after, used);
    const bool started = !taken.empty() && scanner_.lines() <= 1;
    const Reason start = started ? check_start(scanner_.lines()) : Reason::kNone;
    if (start != Reason::kNone) return refuse_head(start, after, used);
    switch (result.status) {
      case HeadScanner::Status::kNeedMore:
        return {Event::kNeedMore, used, {}};
      case HeadScanner::Status::kStartLine:
        break;
      case HeadScanner::Status::kRefused:
        return refuse_head(result.reason, after, used);
      case HeadScanner::Status::kComplete: {
        const Reason reason = finish_head();
        if (reason != Reason::kNone) return refuse_head(reason, after, used);
        state_ = State::kHeadGiven;
        return {Event::kHeadComplete, used, {}};
      }
    }
  }
}

/// The head is whole and every raw byte of it allowed.
Reason RequestParser::finish_head() {
  buffer_.trim();
  const Reason reason =
      read_request_head(buffer_.text(), scanner_.lines(), limits_, *arena_, head_);
  if (reason != Reason::kNone) return reason;
  return llhttp_.head(head_) ? Reason::kNone : Reason::kHttpFraming;
}

Step RequestParser::start_body(base::Bytes chunk) {
  switch (head_.framing) {
    case BodyFraming::kLength:
      body_left_ = head_.content_length;
      state_ = State::kLength;
      return feed_length(chunk);
    case BodyFraming::kChunked:
      chunks_.start(lenient_ ? kLenientChunks : kStrictChunks);
      state_ = State::kChunked;
      return feed_chunked(chunk);
    case BodyFraming::kNone:
    case BodyFraming::kUntilClose:
      break;
  }
  return complete(0);
}

Step RequestParser::feed_length(base::Bytes chunk) {
  if (body_left_ == 0) return complete(0);
  if (chunk.empty()) return {};
  const base::Bytes data = chunk.first(std::min<std::uint64_t>(body_left_, chunk.size()));
  body_left_ -= data.size();
  if (!lenient_ && !llhttp_.body(data, true, body_left_ == 0)) {
    return refuse(Reason::kHttpFraming, 0);
  }
  return {Event::kBodyData, data.size(), data};
}

Step RequestParser::feed_chunked(base::Bytes chunk) {
  std::size_t used = 0;
  while (used < chunk.size()) {
    const base::Bytes rest = chunk.subspan(used);
    const ChunkFramer::Region region = chunks_.next(rest);
    used += region.size;
    if (region.part == ChunkFramer::Part::kRefused) return refuse(chunks_.reason(), used);
    const bool data = region.part == ChunkFramer::Part::kData;
    const bool end = region.part == ChunkFramer::Part::kEnd;
    if (!lenient_ && !llhttp_.body(rest.first(region.size), data, end)) {
      return refuse(Reason::kHttpFraming, used);
    }
    if (data) return {Event::kBodyData, used, rest.first(region.size)};
    if (end) return complete(used);
  }
  return {Event::kNeedMore, used, {}};
}

Step RequestParser::complete(std::size_t consumed) {
  empty_line_ = EmptyLine::kAllowed;
  closed_ = head_.close;
  state_ = State::kComplete;
  return {Event::kMessageComplete, consumed, {}};
}

Step RequestParser::refuse(Reason reason, std::size_t consumed) {
  const bool in_head = state_ == State::kHead;
  refused_in_head_ = in_head;
  refused_at_ = buffer_.size();
  reason_ = reason;
  readable_ = !in_head;
  state_ = State::kRefused;
  head_ended_ = false;
  return {Event::kRefused, consumed, {}};
}

/// Refuses and reads on leniently in what has come, so that rules can run over it.
Step RequestParser::refuse_head(Reason reason, base::Bytes rest, std::size_t consumed) {
  if (scanner_.lines() == 0 && reason != Reason::kHttpLeadingCrlf &&
      reason != Reason::kHttpAfterClose) {
    const std::uint8_t first = !buffer_.empty() ? buffer_[0] : rest.empty() ? 0 : rest[0];
    if (first >= 0x14 && first <= 0x17) reason = Reason::kTlsUninspected;  // RFC 8446 5.1
    const bool request =
        buffer_.empty() ? is_class(first, kClassToken) : looks_like_request(buffer_.text());
    if (!request && reason != Reason::kTlsUninspected && reason != Reason::kHttpRequestLine) {
      reason = Reason::kHttpNotHttp;
    }
  }
  (void)refuse(reason, consumed);
  if (unreadable(reason)) {
    // Nobody reads on: the bytes are kept for the record.
    constexpr std::size_t kKept = 64;
    (void)buffer_.append(rest.data(), std::min(rest.size(), kKept));
    return {Event::kRefused, consumed, {}};
  }
  std::size_t taken = 0;
  head_ended_ = gather_leniently(rest, taken);
  readable_ = read_request_leniently(buffer_.text(), *arena_, head_);
  return {Event::kRefused, consumed + taken, {}};
}

/// Takes bytes up to the lenient end of the head; true if that has come.
bool RequestParser::gather_leniently(base::Bytes rest, std::size_t& taken) {
  while (buffer_.empty() && taken < rest.size() && (rest[taken] == '\r' || rest[taken] == '\n')) {
    ++taken;
  }
  const std::size_t before = buffer_.size();
  const std::size_t room =
      limits_.head_bytes_max - std::min<std::size_t>(before, limits_.head_bytes_max);
  const base::Bytes added = rest.subspan(taken).first(std::min(room, rest.size() - taken));
  if (!buffer_.append(added.data(), added.size())) return false;
  std::size_t end = lenient_head_end(buffer_.text(), before < 3 ? 0 : before - 3);
  if (reason_ == Reason::kHttpNoVersion) end = buffer_.text().find('\n') + 1;
  if (end != 0) buffer_.truncate(end);
  taken += std::max(buffer_.size(), before) - before;
  return end != 0;
}

void RequestParser::continue_leniently() {
  if (state_ != State::kRefused) return;
  const bool again = lenient_;  // even the lenient reading has failed
  lenient_ = true;
  if (again || (!readable_ && unreadable(reason_))) {
    state_ = State::kUnparsed;
  } else if (!head_.lenient && readable_) {  // refused in the body
    const bool chunked = head_.framing == BodyFraming::kChunked;
    state_ = chunked && chunks_.relax(kLenientChunks) ? State::kChunked : State::kUnparsed;
  } else {
    state_ = head_ended_ ? State::kLenientHeadReady : State::kLenientHead;
  }
  if (state_ == State::kLenientHeadReady && !readable_) state_ = State::kUnparsed;
}

Step RequestParser::feed_lenient_head(base::Bytes chunk) {
  std::size_t taken = 0;
  head_ended_ = gather_leniently(chunk, taken);
  if (!head_ended_) {
    const bool stuck = taken < chunk.size();
    if (stuck) state_ = State::kUnparsed;
    return {stuck ? Event::kUnparsed : Event::kNeedMore, chunk.size(), {}};
  }
  readable_ = read_request_leniently(buffer_.text(), *arena_, head_);
  state_ = readable_ ? State::kHeadGiven : State::kUnparsed;
  return {readable_ ? Event::kHeadComplete : Event::kUnparsed, taken, {}};
}

}  // namespace sluice::http
