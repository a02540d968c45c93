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

/// Reads the requests of one connection. Two parsers look at every byte: our own strict one, and
/// llhttp in strict mode over exactly the bytes that ours has accepted; where they disagree the
/// message is refused (http_framing). Only requests that all servers read alike pass.
///
/// Use: between messages skip_empty_line(); at the first byte that it leaves begin() with the arena
/// of the next transaction, then feed() until kMessageComplete. After
/// each event but kNeedMore and kUnparsed call feed() again with the rest of the chunk, an empty
/// rest too: kMessageComplete of a request without body is an event of its own that consumes
/// nothing.
///
/// A refusal (kRefused) is final for the verdict. It comes with the rest of the head, as far as
/// this chunk has it, already read leniently: lenient_head(). Whoever wants to see more (monitor,
/// or the bytes at hand in block mode) calls continue_leniently() and feeds on: kHeadComplete comes
/// (with head().lenient set) if it had not yet come, and the body by the best guess of its framing.
/// Where even that fails, the rest of the connection is kUnparsed.
class RequestParser {
 public:
  /// Forgets the connection. `line`: kRefused if the next message is its first, else what
  /// empty_line() was.
  void reset(EmptyLine line = EmptyLine::kRefused);

  /// Between messages: takes the one empty line that may stand there, or a part of it, from the
  /// start of the chunk. The bytes taken.
  std::size_t skip_empty_line(base::Bytes chunk) {
    return state_ == State::kComplete ? http::skip_empty_line(empty_line_, chunk) : 0;
  }
  [[nodiscard]] EmptyLine empty_line() const { return empty_line_; }

  /// Starts the next message. `arena` must outlive the message and may be used by others between
  /// calls; the head takes twice its size at most and 40 bytes a field of it. Full: kRefused with
  /// transaction_memory.
  void begin(base::Arena& arena, const HeadLimits& limits);

  /// Feeds in-order bytes, borrowed for this call. Consumes a prefix and stops at the first event.
  /// O(chunk), no allocation but from the arena. RFC 9112.
  [[nodiscard]] Step feed(base::Bytes chunk);

  /// The head, from kHeadComplete on.
  [[nodiscard]] const RequestHead& head() const { return head_; }
  /// kNone, or why the message was refused: the first offence in byte order, whatever the split.
  [[nodiscard]] abi::Reason reason() const { return reason_; }
  /// After kRefused: what of the head can be read, or nullptr where it has no request line.
  [[nodiscard]] const RequestHead* lenient_head() const { return readable_ ? &head_ : nullptr; }
  /// After kRefused in a head: its bytes as they have come so far, and how many of them had come
  /// when it was refused. In the arena, where they stay as they are; empty: refused in a body.
  struct RefusedHead {
    base::Bytes bytes;
    std::size_t at = 0;
  };
  [[nodiscard]] RefusedHead refused_head() const {
    return {base::as_bytes(buffer_.text().substr(0, refused_in_head_ ? buffer_.size() : 0)),
            refused_at_};
  }
  /// After kRefused: read on as a forgiving server might.
  void continue_leniently();

  /// A message has begun and its head is not complete.
  [[nodiscard]] bool in_head() const { return state_ == State::kHead; }

 private:
  enum class State : std::uint8_t {
    kComplete,  ///< begin() is due
    kHead,
    kHeadGiven,  ///< what follows depends on the framing
    kLength,
    kChunked,
    kRefused,
    kLenientHead,
    kLenientHeadReady,
    kUnparsed,
  };

  Step feed_head(base::Bytes chunk);
  Step feed_length(base::Bytes chunk);
  Step feed_chunked(base::Bytes chunk);
  Step feed_lenient_head(base::Bytes chunk);
  Step start_body(base::Bytes chunk);
  Step complete(std::size_t consumed);
  Step refuse(abi::Reason reason, std::size_t consumed);
  Step refuse_head(abi::Reason reason, base::Bytes rest, std::size_t consumed);
  [[nodiscard]] abi::Reason check_start(std::uint32_t lines) const;
  abi::Reason finish_head();
  bool gather_leniently(base::Bytes rest, std::size_t& taken);
  [[nodiscard]] std::string_view start_line() const;

  ArenaBuffer buffer_;
  HeadScanner scanner_;
  ChunkFramer chunks_;
  LlhttpCheck llhttp_;
  RequestHead head_;
  HeadLimits limits_;
  base::Arena* arena_ = nullptr;
  std::uint64_t body_left_ = 0;
  std::size_t refused_at_ = 0;
  State state_ = State::kComplete;
  EmptyLine empty_line_ = EmptyLine::kRefused;
  abi::Reason reason_ = abi::Reason::kNone;
  bool refused_in_head_ = false;
  bool readable_ = false;
  bool head_ended_ = false;  ///< of a refused head: its lenient end is known
  bool lenient_ = false;     ///< no second reader any more
  bool closed_ = false;
};

}  // namespace sluice::http
