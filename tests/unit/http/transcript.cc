// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/http/transcript.h"

#include "dataplane/base/check.h"

namespace sluice::http::testing {
namespace {

constexpr std::size_t kArenaBytes = 256 * 1024;

std::string start_of(const RequestHead& head) {
  return std::string(head.method) + " " + std::string(head.target);
}
std::string start_of(const ResponseHead& head) { return std::to_string(head.status); }

/// Feeds one connection; Begin starts the next message with the arena.
template <typename Parser, typename Begin>
class Reader {
 public:
  Reader(Parser& parser, Begin begin, bool lenient)
      : parser_(parser), begin_(begin), lenient_(lenient) {}

  void feed(base::Bytes chunk) {
    while (!stopped_) {
      if (!begun_) {
        const std::size_t skipped = parser_.skip_empty_line(chunk);
        chunk = chunk.subspan(skipped);
        offset_ += skipped;
        if (chunk.empty()) return;
        next_message();
      }
      const Step step = parser_.feed(chunk);
      SLUICE_CHECK(step.consumed <= chunk.size());
      SLUICE_CHECK(step.event != Event::kNeedMore || step.consumed == chunk.size());
      SLUICE_CHECK(step.event != Event::kBodyData || !step.body.empty());
      chunk = chunk.subspan(step.consumed);
      offset_ += step.consumed;
      if (!note(step)) return;
    }
  }

  void finish(const Step& step) { note(step); }
  Transcript take() { return std::move(transcript_); }

 private:
  void next_message() {
    static std::vector<std::uint8_t> memory(kArenaBytes);  // one reader at a time: fuzzers are slow
    arena_ = base::Arena(memory);
    begin_(parser_, arena_);
    begun_ = true;
    start_ = offset_;
  }

  /// False: the chunk is used up.
  bool note(const Step& step) {
    switch (step.event) {
      case Event::kNeedMore:
      case Event::kUnparsed:
        return false;
      case Event::kHeadComplete: {
        Message message;
        message.start = start_of(parser_.head());
        message.protocol = std::string(parser_.head().protocol);
        message.start_offset = start_;
        for (const Field& field : parser_.head().fields) {
          message.fields.push_back(std::string(field.name) + "=" + std::string(field.value));
        }
        transcript_.messages.push_back(message);
        return true;
      }
      case Event::kBodyData:
        transcript_.messages.back().body += base::as_text(step.body);
        return true;
      case Event::kMessageComplete:
        transcript_.messages.back().complete = true;
        transcript_.messages.back().end_offset = offset_;
        begun_ = false;
        return true;
      case Event::kUpgraded:
        transcript_.upgraded = stopped_ = true;
        return false;
      case Event::kRefused:
        if (transcript_.reason == "none") {
          transcript_.reason = std::string(abi::reason_name(parser_.reason()));
        }
        if constexpr (std::is_same_v<Parser, RequestParser>) {
          if (lenient_) {
            parser_.continue_leniently();
            return true;
          }
        }
        stopped_ = true;
        return false;
    }
    return false;
  }

  Parser& parser_;
  Begin begin_;
  bool lenient_;
  bool begun_ = false, stopped_ = false;
  base::Arena arena_;
  std::size_t offset_ = 0, start_ = 0;
  Transcript transcript_;
};

template <typename R>
void feed_cut(R& reader, std::string_view stream, const Cuts& cuts) {
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    reader.feed(base::as_bytes(stream.substr(from, cut - from)));
    from = cut;
  }
  reader.feed(base::as_bytes(stream.substr(from)));
}

Transcript requests(std::string_view stream, const Cuts& cuts, const HeadLimits& limits,
                    bool lenient) {
  RequestParser parser;
  parser.reset();
  const auto begin = [&limits](RequestParser& to, base::Arena& arena) { to.begin(arena, limits); };
  Reader reader(parser, begin, lenient);
  feed_cut(reader, stream, cuts);
  return reader.take();
}

}  // namespace

Cuts every_byte(std::size_t size) {
  Cuts cuts;
  for (std::size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

Transcript read_requests(std::string_view stream, const Cuts& cuts, const HeadLimits& limits) {
  return requests(stream, cuts, limits, false);
}

Transcript read_requests_leniently(std::string_view stream, const Cuts& cuts) {
  return requests(stream, cuts, {}, true);
}

Transcript read_responses(std::string_view stream, ResponseContext context, bool closes,
                          const Cuts& cuts) {
  ResponseParser parser;
  parser.reset();
  const HeadLimits limits;
  const auto begin = [&](ResponseParser& to, base::Arena& arena) {
    to.begin(arena, limits, context);
  };
  Reader reader(parser, begin, false);
  feed_cut(reader, stream, cuts);
  if (closes) reader.finish(parser.finish());
  return reader.take();
}

}  // namespace sluice::http::testing
