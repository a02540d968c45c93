// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/http/arena_buffer.h"
#include "dataplane/http/chunk_framer.h"
#include "dataplane/http/empty_line.h"
#include "dataplane/http/event.h"
#include "dataplane/http/head.h"
#include "dataplane/http/head_scanner.h"
#include "dataplane/http/llhttp_check.h"

namespace sluice::http {

/// What a response is framed by besides its own head (RFC 9112 section 6.3).
struct ResponseContext {
  bool head_request = false;       ///< the request's method was HEAD: no body
  bool upgrade_requested = false;  ///< an allowed upgrade: 101 is an answer
};

/// Reads the responses of one connection, interim ones too, each of them a message: kHeadComplete
/// and kMessageComplete. Use as RequestParser: begin() with the context of the oldest request that
/// has no final response, after an interim response with the same one again. Every refusal is
/// http_response (or transaction_memory): what cannot be framed cannot be paired with a request.
class ResponseParser {
 public:
  /// As RequestParser::reset().
  void reset(EmptyLine line = EmptyLine::kRefused);
  /// As of RequestParser.
  std::size_t skip_empty_line(base::Bytes chunk) {
    return state_ == State::kComplete ? http::skip_empty_line(empty_line_, chunk) : 0;
  }
  [[nodiscard]] EmptyLine empty_line() const { return empty_line_; }
  /// Starts the next message; `arena` as in RequestParser::begin().
  void begin(base::Arena& arena, const HeadLimits& limits, ResponseContext context);
  /// As RequestParser::feed(). More than abi::kInterimResponsesMax interim responses in a row, and
  /// bytes after a response that closes, refuse. O(chunk).
  [[nodiscard]] Step feed(base::Bytes chunk);
  /// After kHeadComplete of a body of known length, or one until the close: whoever does not look
  /// at it counts its bytes himself, and the message is over here. begin() before the next.
  void skip_body();
  /// The server has closed: kMessageComplete where the body went until then, kNeedMore between
  /// messages, else kRefused (cut short).
  [[nodiscard]] Step finish();

  [[nodiscard]] const ResponseHead& head() const { return head_; }
  [[nodiscard]] abi::Reason reason() const { return reason_; }

 private:
  enum class State : std::uint8_t {
    kComplete,  ///< begin() is due
    kHead,
    kHeadGiven,
    kLength,
    kChunked,
    kUntilClose,
    kRefused,
    kUpgraded,
  };

  Step feed_head(base::Bytes chunk);
  Step feed_length(base::Bytes chunk);
  Step feed_chunked(base::Bytes chunk);
  Step start_body(base::Bytes chunk);
  Step complete(std::size_t consumed);
  Step refuse(std::size_t consumed, abi::Reason reason = abi::Reason::kHttpResponse);
  abi::Reason finish_head();

  ArenaBuffer buffer_;
  HeadScanner scanner_;
  ChunkFramer chunks_;
  LlhttpCheck llhttp_;
  ResponseHead head_;
  ResponseContext context_;
  base::Arena* arena_ = nullptr;
  std::uint64_t body_left_ = 0;
  std::uint32_t interims_ = 0;
  State state_ = State::kComplete;
  EmptyLine empty_line_ = EmptyLine::kRefused;
  abi::Reason reason_ = abi::Reason::kNone;
  bool closed_ = false;
};

}  // namespace sluice::http
