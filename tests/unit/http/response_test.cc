// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "tests/unit/http/pieces.h"
#include "tests/unit/http/transcript.h"

namespace sluice::http::testing {
namespace {

constexpr ResponseContext kHead{.head_request = true};
constexpr ResponseContext kUpgrade{.upgrade_requested = true};

/// The reading of a stream, the same for every cut in two and byte by byte.
Transcript read(std::string_view stream, ResponseContext context = {}, bool closes = false) {
  const Transcript whole = read_responses(stream, context, closes);
  EXPECT_EQ(read_responses(stream, context, closes, every_byte(stream.size())), whole);
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    EXPECT_EQ(read_responses(stream, context, closes, {cut}), whole) << "cut at " << cut;
  }
  return whole;
}

std::vector<Pair> bodies(const Transcript& transcript) {
  std::vector<Pair> pairs;
  for (const Message& message : transcript.messages) {
    pairs.emplace_back(message.start, message.complete ? message.body : "(incomplete)");
  }
  return pairs;
}

constexpr std::string_view kNext = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::string before_next(std::string_view head) { return std::string(head) + std::string(kNext); }

void expect_refused(std::string_view stream, ResponseContext context = {}) {
  EXPECT_EQ(read(stream, context).reason, "http_response") << stream;
}

TEST(Responses, AreFramedByLengthChunksAndClose) {
  EXPECT_EQ(bodies(read(before_next("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"))),
            (std::vector<Pair>{{"404", "hello"}, {"200", "ok"}}));
  EXPECT_EQ(bodies(read(before_next("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "5\r\nhello\r\n0\r\n\r\n"))),
            (std::vector<Pair>{{"200", "hello"}, {"200", "ok"}}));
  EXPECT_EQ(bodies(read("HTTP/1.0 200 OK\r\n\r\nuntil\r\nclose", {}, true)),
            (std::vector<Pair>{{"200", "until\r\nclose"}}));
  EXPECT_EQ(bodies(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", {}, true)),
            (std::vector<Pair>{{"200", "x"}}));
  EXPECT_EQ(read("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").messages[0].protocol, "HTTP/1.1");
}

TEST(Responses, TakeWhatHonestServersSendInChunks) {
  EXPECT_EQ(bodies(read(before_next("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "0005;x=y\r\nhello\r\n0\r\nGrpc-Status: 0\r\n\r\n"))),
            (std::vector<Pair>{{"200", "hello"}, {"200", "ok"}}));
}

TEST(Responses, HF28CutShortIsRefused) {
  for (const std::string_view stream :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    EXPECT_EQ(read(stream, {}, true).reason, "http_response") << stream;
    EXPECT_EQ(read(stream, {}, false).reason, "none") << stream;
  }
  EXPECT_EQ(read(kNext, {}, true).reason, "none");
}

TEST(Responses, HF29HaveNoBodyToHeadAndForSomeStatus) {
  EXPECT_EQ(bodies(read("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "HTTP/1.1 200 OK\r\n\r\n",
                        kHead)),
            (std::vector<Pair>{{"200", ""}, {"200", ""}, {"200", ""}}));
  for (const std::string_view head :
       {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n"}) {
    const Transcript transcript = read(before_next(head));
    ASSERT_EQ(transcript.messages.size(), 2u) << head;
    EXPECT_EQ(transcript.messages[0].body, "");
    EXPECT_EQ(transcript.messages[1].body, "ok");
  }
}

TEST(Responses, HF29InterimResponsesAreMessagesAndBounded) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
  EXPECT_EQ(bodies(read(before_next("HTTP/1.1 100 Continue\r\n\r\n" + interim))),
            (std::vector<Pair>{{"100", ""}, {"103", ""}, {"200", "ok"}}));
  std::string many;
  for (int i = 0; i < 8; ++i) many += interim;
  EXPECT_EQ(read(before_next(many)).reason, "none");
  expect_refused(before_next(many + interim));
  expect_refused("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(Responses, HF23SwitchProtocolsOnlyWhenAsked) {
  constexpr std::string_view kSwitch =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
      "websocket\r\n\r\n\x81\x05";
  const Transcript upgraded = read(kSwitch, kUpgrade);
  EXPECT_TRUE(upgraded.upgraded);
  EXPECT_EQ(upgraded.messages.size(), 1u);
  expect_refused(kSwitch);
  // A refusal of the upgrade is an ordinary response: what follows is HTTP.
  EXPECT_EQ(
      read(before_next("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"), kUpgrade)
          .messages.size(),
      2u);
}

TEST(Responses, WhatCannotBeFramedIsRefused) {
  for (const std::string_view head :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 05\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n", "HTTP/2.0 200 OK\r\n", "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 099 OK\r\n", "ICY 200 OK\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\nX: y\r\n", "HTTP/1.1 200 OK\r\nX: y\n", "HTTP/1.1 200 OK\r\n: y\r\n"}) {
    expect_refused(std::string(head) + "\r\n");
  }
  expect_refused("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nmore");
  expect_refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n");
}

}  // namespace
}  // namespace sluice::http::testing
