// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "dataplane/http/framing.h"
#include "dataplane/http/llhttp_check.h"
#include "dataplane/http/request_parser.h"
#include "tests/unit/http/transcript.h"

/// What the request streams of corpus_test.cc do not show: limits, memory, views, reading on.
namespace sluice::http::testing {
namespace {

constexpr std::string_view kGet = "GET /x?a=b HTTP/1.1\r\nHost: a\r\nX-A:  b c \r\n\r\n";

TEST(RequestParser, LlhttpIsBuiltStrict) { EXPECT_TRUE(LlhttpCheck::built_strict()); }

TEST(RequestParser, GivesViewsOfTheHead) {
  std::vector<std::uint8_t> memory(4096);
  base::Arena arena(memory);
  RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  std::string chunk(kGet);
  EXPECT_EQ(parser.feed(base::as_bytes(std::string_view(chunk).substr(0, 9))).event,
            Event::kNeedMore);
  EXPECT_TRUE(parser.in_head());
  const Step step = parser.feed(base::as_bytes(std::string_view(chunk).substr(9)));
  ASSERT_EQ(step.event, Event::kHeadComplete);
  EXPECT_EQ(step.consumed, chunk.size() - 9);
  chunk.assign(chunk.size(), '!');  // the head lives in the arena
  const RequestHead& head = parser.head();
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/x?a=b");
  EXPECT_EQ(head.path_and_query, "/x?a=b");
  EXPECT_EQ(head.protocol, "HTTP/1.1");
  EXPECT_EQ(base::as_text(head.raw), kGet);
  ASSERT_EQ(head.fields.size(), 2u);
  EXPECT_EQ(head.fields[1].value, "b c");
  EXPECT_EQ(head.find(FieldId::kHost)->value, "a");
  EXPECT_EQ(head.find("x-a")->value, "b c");
  EXPECT_EQ(head.find("x-b"), nullptr);
  EXPECT_EQ(parser.feed({}).event, Event::kMessageComplete);
}

TEST(RequestParser, AbsoluteFormIsSplit) {
  const Transcript read = read_requests("GET http://A:80/y?z HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(read.messages.at(0).start, "GET http://A:80/y?z");
  std::vector<std::uint8_t> memory(4096);
  base::Arena arena(memory);
  RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  ASSERT_EQ(parser.feed(base::as_bytes("GET http://A:80/y?z HTTP/1.1\r\nHost: a\r\n\r\n")).event,
            Event::kHeadComplete);
  EXPECT_EQ(parser.head().authority, "A:80");
  EXPECT_EQ(parser.head().path_and_query, "/y?z");
}

TEST(RequestParser, FieldNamesHaveIds) {
#define SLUICE_X(enumerator, name) EXPECT_EQ(field_id(name), FieldId::enumerator);
  SLUICE_HTTP_FIELDS(SLUICE_X)
#undef SLUICE_X
  EXPECT_EQ(field_id("CONTENT-length"), FieldId::kContentLength);
  EXPECT_EQ(field_id(""), FieldId::kOther);
  EXPECT_EQ(field_id("host "), FieldId::kOther);
  EXPECT_EQ(field_id("content-lengtM"), FieldId::kOther);
  EXPECT_EQ(field_id(std::string(300, 'a')), FieldId::kOther);
}

TEST(RequestParser, LimitsAreExact) {
  const auto reason = [](std::string_view stream, HeadLimits limits) {
    std::string whole = read_requests(stream, {}, limits).reason;
    EXPECT_EQ(read_requests(stream, every_byte(stream.size()), limits).reason, whole);
    return whole;
  };
  EXPECT_EQ(reason(kGet, {.request_line_bytes_max = 19}), "none");
  EXPECT_EQ(reason(kGet, {.request_line_bytes_max = 18}), "http_request_line");
  EXPECT_EQ(reason(kGet, {.header_bytes_max = 10}), "none");
  EXPECT_EQ(reason(kGet, {.header_bytes_max = 9}), "http_headers_too_large");
  EXPECT_EQ(reason(kGet, {.headers_max = 2}), "none");
  EXPECT_EQ(reason(kGet, {.headers_max = 1}), "http_headers_too_large");
  EXPECT_EQ(reason(kGet, {.head_bytes_max = 20}), "http_headers_too_large");
}

TEST(RequestParser, RX4AFullArenaIsNamed) {
  for (const std::size_t bytes : {0u, 16u, 64u, 100u}) {
    std::vector<std::uint8_t> memory(bytes);
    base::Arena arena(memory);
    RequestParser parser;
    parser.reset();
    parser.begin(arena, {});
    EXPECT_EQ(parser.feed(base::as_bytes(kGet)).event, Event::kRefused);
    EXPECT_EQ(parser.reason(), abi::Reason::kTransactionMemory);
    EXPECT_EQ(parser.lenient_head(), nullptr);
    parser.continue_leniently();
    EXPECT_EQ(parser.feed(base::as_bytes(kGet)).event, Event::kUnparsed);
  }
}

TEST(RequestParser, UsesTheArenaSparingly) {
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  ASSERT_EQ(parser.feed(base::as_bytes(kGet)).event, Event::kHeadComplete);
  EXPECT_LE(arena.used(),
            kGet.size() + 2 * sizeof(Field) + alignof(Field) + 2 * base::Arena::kGapBytesMax);
}

TEST(RequestParser, HF23AllowsWebsocketWhereTheServiceDoes) {
  const auto handshake = [](std::string_view more) {
    return "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
           "WebSocket\r\n" +
           std::string(more) + "\r\n";
  };
  const HeadLimits limits{.allow_websocket = true};
  const std::string next = handshake("") + std::string(kGet);
  const Transcript read = read_requests(next, {}, limits);
  EXPECT_EQ(read.reason, "none");
  EXPECT_EQ(read.messages.size(), 2u);  // HTTP until the server has agreed
  EXPECT_EQ(read_requests(next, every_byte(next.size()), limits), read);
  EXPECT_EQ(read_requests(handshake("Upgrade: h2c\r\n"), {}, limits).reason, "http_upgrade");
  EXPECT_EQ(read_requests(handshake("Content-Length: 1\r\n") + "x", {}, limits).reason,
            "http_upgrade");
  EXPECT_EQ(
      read_requests("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", {},
                    limits)
          .reason,
      "http_upgrade");
  EXPECT_EQ(
      read_requests("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", {}, limits).reason,
      "http_upgrade");
}

TEST(RequestParser, HF15TinyChunksAreBounded) {
  const auto stream = [](std::size_t chunks, std::size_t bytes) {
    std::string text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (std::size_t i = 0; i < chunks; ++i) {
      text += (bytes == 16 ? "10" : std::string(1, kDigits[bytes])) + "\r\n" +
              std::string(bytes, 'x') + "\r\n";
    }
    return text + "0\r\n\r\n";
  };
  EXPECT_EQ(read_requests(stream(1024, 1)).reason, "none");
  EXPECT_EQ(read_requests(stream(1025, 1)).reason, "http_chunks");
  EXPECT_EQ(read_requests(stream(3000, 16)).reason, "none");
}

TEST(RequestParser, RefusalStillShowsTheRequest) {
  std::vector<std::uint8_t> memory(16 * 1024);
  base::Arena arena(memory);
  RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  const std::string_view stream =
      "POST /a b HTTP/1.1\nHost : x\r\nX-Fold: one\r\n\ttwo\r\nnocolon\r\nTransfer-Encoding: "
      "x,chunked\r\n"
      "Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  Step step = parser.feed(base::as_bytes(stream));
  ASSERT_EQ(step.event, Event::kRefused);
  EXPECT_EQ(parser.reason(), abi::Reason::kHttpBareLf);
  const RequestHead* head = parser.lenient_head();
  ASSERT_NE(head, nullptr);
  EXPECT_TRUE(head->lenient);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/a b");
  EXPECT_EQ(head->protocol, "HTTP/1.1");
  ASSERT_EQ(head->fields.size(), 5u);
  EXPECT_EQ(head->find("Host")->value, "x");
  EXPECT_EQ(head->fields[1].value, "one\r\n\ttwo");
  EXPECT_EQ(head->fields[2].name, "nocolon");
  EXPECT_EQ(head->framing, BodyFraming::kChunked);

  parser.continue_leniently();
  std::size_t at = step.consumed;
  EXPECT_EQ(parser.feed({}).event, Event::kHeadComplete);
  step = parser.feed(base::as_bytes(stream.substr(at)));
  EXPECT_EQ(step.event, Event::kBodyData);
  EXPECT_EQ(base::as_text(step.body), "hello");
  at += step.consumed;
  step = parser.feed(base::as_bytes(stream.substr(at)));
  EXPECT_EQ(step.event, Event::kMessageComplete);
  EXPECT_EQ(at + step.consumed, stream.size());
  EXPECT_EQ(parser.reason(), abi::Reason::kHttpBareLf);
}

TEST(RequestParser, MonitorResynchronisesWithTheNextRequest) {
  const std::string stream =
      "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" +
      std::string(kGet);
  const Transcript read = read_requests_leniently(stream);
  EXPECT_EQ(read.reason, "http_cl_dup");
  ASSERT_EQ(read.messages.size(), 2u);
  EXPECT_EQ(read.messages[0].body, "hello");
  EXPECT_EQ(read.messages[1].start, "GET /x?a=b");
  EXPECT_TRUE(read.messages[1].complete);
}

TEST(RequestParser, MonitorReadsOnInsideABody) {
  const std::string stream =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n"
      "0005\r\nworld\r\n0\r\nX-T: v\r\n\r\n" +
      std::string(kGet);
  const Transcript read = read_requests_leniently(stream);
  EXPECT_EQ(read.reason, "http_chunk_ext");
  ASSERT_EQ(read.messages.size(), 2u);
  EXPECT_EQ(read.messages[0].body, "helloworld");
  EXPECT_EQ(read_requests_leniently(stream, every_byte(stream.size())), read);
}

TEST(RequestParser, ContentLengthsAreDigitsAlone) {
  std::uint64_t length = 0;
  EXPECT_TRUE(parse_content_length("9999999999999999999", length));
  EXPECT_EQ(length, 9999999999999999999u);
  for (const std::string_view bad :
       {"", "00", "01", "+1", "-1", "1 ", " 1", "1a", "10000000000000000000"}) {
    EXPECT_FALSE(parse_content_length(bad, length)) << bad;
  }
}

}  // namespace
}  // namespace sluice::http::testing
