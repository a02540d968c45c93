// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/response_parser.h"

#include <algorithm>

#include "dataplane/abi/limits.h"
#include "dataplane/base/check.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/head_reader.h"

namespace sluice::http {
namespace {

using abi::Reason;

/// A response is read to be paired with its request, and honest servers pad sizes and send
/// trailers.
constexpr ChunkRules kResponseChunks{.digits_max = 16,
                                     .leading_zeros = true,
                                     .extensions = true,
                                     .trailers = true,
                                     .tiny_chunks_refused = false};

}  // namespace

void ResponseParser::reset(EmptyLine line) {
  state_ = State::kComplete;
  reason_ = Reason::kNone;
  empty_line_ = line;
  interims_ = 0;
  closed_ = false;
}

void ResponseParser::begin(base::Arena& arena, const HeadLimits& limits, ResponseContext context) {
  if (state_ == State::kUpgraded) return;
  SLUICE_CHECK(state_ == State::kComplete);
  arena_ = &arena;
  context_ = context;
  buffer_.start(arena);
  scanner_.start(limits, empty_line_ == EmptyLine::kHalf);
  head_ = ResponseHead();
  state_ = State::kHead;
  reason_ = Reason::kNone;
}

Step ResponseParser::feed(base::Bytes chunk) {
  switch (state_) {
    case State::kHead:
      return feed_head(chunk);
    case State::kHeadGiven:
      return start_body(chunk);
    case State::kLength:
      return feed_length(chunk);
    case State::kChunked:
      return feed_chunked(chunk);
    case State::kUntilClose:
      if (chunk.empty()) return {};
      return llhttp_.body(chunk, true, false) ? Step{Event::kBodyData, chunk.size(), chunk}
                                              : refuse(0);
    case State::kRefused:
      return {Event::kRefused, 0, {}};
    case State::kUpgraded:
      return {Event::kUpgraded, 0, {}};
    case State::kComplete:
      break;
  }
  SLUICE_CHECK(chunk.empty());  // begin() was due
  return {};
}

Step ResponseParser::feed_head(base::Bytes chunk) {
  std::size_t used = 0;
  while (true) {
    const base::Bytes rest = chunk.subspan(used);
    const HeadScanner::Result result = scanner_.scan(rest);
    const base::Bytes taken = rest.first(result.consumed);
    used += result.consumed;
    if (!buffer_.append(taken.data(), taken.size())) {
      return refuse(used, Reason::kTransactionMemory);
    }
    if (closed_ && !scanner_.idle()) return refuse(used);
    switch (result.status) {
      case HeadScanner::Status::kNeedMore:
        return {Event::kNeedMore, used, {}};
      case HeadScanner::Status::kStartLine:
        break;
      case HeadScanner::Status::kRefused:
        return refuse(used);
      case HeadScanner::Status::kComplete: {
        const Reason reason = finish_head();
        if (reason != Reason::kNone) return refuse(used, reason);
        state_ = State::kHeadGiven;
        return {Event::kHeadComplete, used, {}};
      }
    }
  }
}

Reason ResponseParser::finish_head() {
  buffer_.trim();
  const Reason reason = read_response_head(buffer_.text(), scanner_.lines(), *arena_, head_);
  if (reason != Reason::kNone) return reason;
  if (!frame_response(context_.head_request, head_)) return Reason::kHttpResponse;
  if (head_.status == 101 && !context_.upgrade_requested) return Reason::kHttpResponse;
  if (head_.interim() && ++interims_ > abi::kInterimResponsesMax) return Reason::kHttpResponse;
  return llhttp_.head(head_) ? Reason::kNone : Reason::kHttpResponse;
}

Step ResponseParser::start_body(base::Bytes chunk) {
  switch (head_.framing) {
    case BodyFraming::kLength:
      body_left_ = head_.content_length;
      state_ = State::kLength;
      return feed_length(chunk);
    case BodyFraming::kChunked:
      chunks_.start(kResponseChunks);
      state_ = State::kChunked;
      return feed_chunked(chunk);
    case BodyFraming::kUntilClose:
      state_ = State::kUntilClose;
      return feed(chunk);
    case BodyFraming::kNone:
      break;
  }
  return complete(0);
}

Step ResponseParser::feed_length(base::Bytes chunk) {
  if (body_left_ == 0) return complete(0);
  if (chunk.empty()) return {};
  const base::Bytes data = chunk.first(std::min<std::uint64_t>(body_left_, chunk.size()));
  body_left_ -= data.size();
  if (!llhttp_.body(data, true, body_left_ == 0)) return refuse(0);
  return {Event::kBodyData, data.size(), data};
}

/// llhttp refuses extensions and trailers that honest servers send: our own reading alone holds.
Step ResponseParser::feed_chunked(base::Bytes chunk) {
  std::size_t used = 0;
  while (used < chunk.size()) {
    const base::Bytes rest = chunk.subspan(used);
    const ChunkFramer::Region region = chunks_.next(rest);
    used += region.size;
    switch (region.part) {
      case ChunkFramer::Part::kRefused:
        return refuse(used);
      case ChunkFramer::Part::kData:
        return {Event::kBodyData, used, rest.first(region.size)};
      case ChunkFramer::Part::kEnd:
        return complete(used);
      case ChunkFramer::Part::kFraming:
        break;
    }
  }
  return {Event::kNeedMore, used, {}};
}

Step ResponseParser::complete(std::size_t consumed) {
  empty_line_ = EmptyLine::kAllowed;
  if (!head_.interim()) interims_ = 0;
  closed_ = head_.close && !head_.interim();
  if (head_.status == 101) {
    state_ = State::kUpgraded;
    return {Event::kUpgraded, consumed, {}};
  }
  state_ = State::kComplete;
  return {Event::kMessageComplete, consumed, {}};
}

void ResponseParser::skip_body() {
  SLUICE_CHECK(state_ == State::kHeadGiven);
  (void)complete(0);
}

Step ResponseParser::refuse(std::size_t consumed, Reason reason) {
  reason_ = reason;
  state_ = State::kRefused;
  return {Event::kRefused, consumed, {}};
}

Step ResponseParser::finish() {
  switch (state_) {
    case State::kHead:
      return refuse(0);
    case State::kHeadGiven:
      return head_.framing == BodyFraming::kNone || head_.framing == BodyFraming::kUntilClose
                 ? complete(0)
                 : refuse(0);
    case State::kLength:
      return body_left_ == 0 ? complete(0) : refuse(0);
    case State::kChunked:
      return refuse(0);
    case State::kUntilClose:
      return complete(0);
    case State::kRefused:
      return {Event::kRefused, 0, {}};
    case State::kComplete:
    case State::kUpgraded:
      break;
  }
  return {};
}

}  // namespace sluice::http
