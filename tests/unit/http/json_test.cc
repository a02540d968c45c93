// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/json.h"

#include <gtest/gtest.h>

#include "dataplane/abi/strict.h"
#include "tests/unit/http/pieces.h"

namespace sluice::http::testing {
namespace {

using abi::Strict;

struct Decoded {
  std::vector<Pair> pairs;
  JsonError error = JsonError::kNone;
  std::uint64_t failures = 0;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(const std::vector<std::string_view>& chunks, const JsonLimits& limits) {
  std::vector<std::uint8_t> memory(256 * 1024);
  base::Arena arena(memory);
  JsonDecoder decoder(arena, limits);
  PairSink sink;
  bool good = true;
  for (const std::string_view chunk : chunks) {
    if (good) good = decoder.feed(base::as_bytes(chunk), sink);
  }
  if (good) good = decoder.finish(sink);
  EXPECT_EQ(good, decoder.error() == JsonError::kNone);
  EXPECT_EQ(good, decoder.error_text().empty());
  return {sink.pairs, decoder.error(), decoder.strict_failures()};
}

Decoded decode(std::string_view text, const JsonLimits& limits = {}) {
  const Decoded whole = decode(std::vector<std::string_view>{text}, limits);
  if (text.size() < 500) {
    for_every_cut(text, [&](const auto& chunks) {
      EXPECT_EQ(decode(chunks, limits).pairs, whole.pairs);
      EXPECT_EQ(decode(chunks, limits), whole);
    });
  }
  return whole;
}

std::vector<Pair> values(std::string_view text) {
  SCOPED_TRACE(std::string(text));
  const Decoded decoded = decode(text);
  EXPECT_EQ(decoded.error, JsonError::kNone);
  return decoded.pairs;
}

void expect_syntax_error(std::string_view text) {
  SCOPED_TRACE(std::string(text));
  const Decoded decoded = decode(text);
  EXPECT_NE(decoded.error, JsonError::kNone);
  EXPECT_EQ(decoded.failures & strict_bit(Strict::kJsonSyntax), strict_bit(Strict::kJsonSyntax));
}

// Names: seclang-semantics.md 7.4, tried on libmodsecurity 3.0.9.
TEST(Json, NamesScalarsAsTheReference) {
  using Pairs = std::vector<Pair>;
  EXPECT_EQ(values(R"({"a":1,"b":{"c":"x","d":[1,{"e":null}]}})"),
            (Pairs{{"json.a", "1"},
                   {"json.b.c", "x"},
                   {"json.b.d.array_0", "1"},
                   {"json.b.d.array_1.e", ""}}));
  EXPECT_EQ(values(R"([1,{"a":2},[3,4]])"), (Pairs{{"json.array_0", "1"},
                                                   {"json.array_1.a", "2"},
                                                   {"json.array_2.array_0", "3"},
                                                   {"json.array_2.array_1", "4"}}));
  EXPECT_EQ(values(R"("abc")"), (Pairs{{"json", "abc"}}));
  EXPECT_EQ(values(R"({"":"x"})"), (Pairs{{"json.empty-key", "x"}}));
  EXPECT_EQ(values(R"({"x.y":1})"), (Pairs{{"json.x.y", "1"}}));
  EXPECT_EQ(values(R"({"f":[],"g":{}})"), Pairs());
  EXPECT_EQ(values(R"({"t":true,"f":false,"z":{"a":1},"y":[[]],"n":2})"),
            (Pairs{{"json.t", "true"}, {"json.f", "false"}, {"json.z.a", "1"}, {"json.n", "2"}}));
}

TEST(Json, HB14KeepsNumbersAsWritten) {
  for (const std::string number :
       {"0", "-0", "12", "1.50e3", "1E+10", "0.1e-5", "1e400", "9007199254740993"}) {
    EXPECT_EQ(values(number), (std::vector<Pair>{{"json", number}}));
    EXPECT_EQ(values("[" + number + " ]"), (std::vector<Pair>{{"json.array_0", number}}));
  }
}

TEST(Json, HB11RefusesWhatIsNotRfc8259) {
  for (const std::string_view text : {"{",
                                      "[",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "[1",
                                      "[1,",
                                      "\"a",
                                      "tru",
                                      "-",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":1,}",
                                      "[1,]",
                                      "[,1]",
                                      "{,}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[1 2]",
                                      "01",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1.e1",
                                      "1e",
                                      "1e+",
                                      "0x10",
                                      "--1",
                                      "NaN",
                                      "Infinity",
                                      "True",
                                      "nul",
                                      "nulll",
                                      "1 2",
                                      "{}{}",
                                      "{}\n{}",
                                      "{} x",
                                      "// c\n1",
                                      "/* c */1",
                                      "\xef\xbb\xbf{}",
                                      "\"a\nb\"",
                                      "\"a\tb\"",
                                      "\"\\x41\"",
                                      "\"\\u12g4\"",
                                      "\"\\'\"",
                                      "[1}",
                                      "{\"a\":1]",
                                      "]",
                                      "}",
                                      ":",
                                      ",",
                                      "\"\xff\"",
                                      "\"\xc0\xaf\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xf4\x90\x80\x80\"",
                                      "\"\xe2\x82\"",
                                      "{\"a\":\"\xe2\x82\"}",
                                      "\x0b"
                                      "1"}) {
    expect_syntax_error(text);
  }
}

TEST(Json, HB11GivesWhatCameBeforeTheError) {
  EXPECT_EQ(decode(R"({"a":"attack","b":)").pairs, (std::vector<Pair>{{"json.a", "attack"}}));
  EXPECT_EQ(decode(R"({"a":"attack"} x)").pairs, (std::vector<Pair>{{"json.a", "attack"}}));
}

TEST(Json, AnEmptyBodyIsNoErrorButBlanksAre) {
  EXPECT_EQ(decode("").error, JsonError::kNone);
  EXPECT_EQ(decode("  ").error, JsonError::kTruncated);
}

TEST(Json, HB12UnescapesKeysAndValues) {
  EXPECT_EQ(values(R"({"\u0061\n":"\u003cscript\u003e \"\\/\b\f\n\r\t"})"),
            (std::vector<Pair>{{"json.a\n", "<script> \"\\/\b\f\n\r\t"}}));
  EXPECT_EQ(values(R"("\u00e9\u20ac\ud83d\ude00")"),
            (std::vector<Pair>{{"json", "\u00e9\u20ac\U0001f600"}}));
  EXPECT_EQ(values("\"\u00e9\u20ac\U0001f600\""),
            (std::vector<Pair>{{"json", "\u00e9\u20ac\U0001f600"}}));
  EXPECT_EQ(values(R"("a\u0000b")"), (std::vector<Pair>{{"json", std::string("a\0b", 3)}}));
}

TEST(Json, HB12SeesLoneSurrogates) {
  for (const auto& [text, value] : std::vector<Pair>{{R"("\ud83d")", "?"},
                                                     {R"("\ude00")", "\xed\xb8\x80"},
                                                     {R"("\ud83dx")", "?x"},
                                                     {R"("\ud83d\n")", "?\n"},
                                                     {R"("\ud83d\u0041")", "?A"},
                                                     {R"("\ud83d\ud83d\ude00")", "?\U0001f600"}}) {
    const Decoded decoded = decode(text);
    EXPECT_EQ(decoded.pairs, (std::vector<Pair>{{"json", value}}));
    EXPECT_EQ(decoded.failures, strict_bit(Strict::kJsonSurrogate)) << text;
  }
}

TEST(Json, HB10SeesDuplicateKeysOfOneObjectAlone) {
  const JsonLimits limits{.find_duplicate_keys = true};
  const auto duplicate = [&limits](std::string_view text) {
    return decode(text, limits).failures == strict_bit(Strict::kJsonDuplicateKey);
  };
  EXPECT_TRUE(duplicate(R"({"a":1,"a":2})"));
  EXPECT_TRUE(duplicate(R"({"a":1,"\u0061":2})"));
  EXPECT_TRUE(duplicate(R"([{"b":{"a":1},"c":[{}],"b":2}])"));
  EXPECT_FALSE(duplicate(R"({"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]})"));
  EXPECT_EQ(decode(R"({"a":1,"a":2})", limits).pairs,
            (std::vector<Pair>{{"json.a", "1"}, {"json.a", "2"}}));
}

TEST(Json, HB13BoundsDepthKeysAndNumbers) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + "1" + std::string(depth, ']');
  };
  EXPECT_EQ(decode(nested(32)).failures, 0u);
  EXPECT_EQ(decode(nested(33)).failures, strict_bit(Strict::kJsonDepth));
  EXPECT_EQ(decode(nested(512)).error, JsonError::kNone);
  EXPECT_EQ(decode(nested(513)).error, JsonError::kDepth);
  EXPECT_EQ(decode(nested(100000)).error, JsonError::kDepth);
  EXPECT_EQ(decode(nested(3), {.depth_max = 2}).error, JsonError::kDepth);
  EXPECT_EQ(decode(std::string(64, '1')).failures, 0u);
  EXPECT_EQ(decode(std::string(65, '1')).failures, strict_bit(Strict::kJsonDepth));
  EXPECT_EQ(decode("[1,2,3]", {.keys_max = 2}).error, JsonError::kKeys);
  EXPECT_EQ(decode("{\"" + std::string(9000, 'k') + "\":1}").error, JsonError::kKeys);
}

TEST(Json, IsReadInFixedMemory) {
  std::vector<std::uint8_t> memory(4096);
  base::Arena arena(memory);
  JsonDecoder decoder(arena, {});
  struct Counter {
    std::size_t bytes = 0;
    void name(base::Bytes) {}
    void value(base::Bytes piece) { bytes += piece.size(); }
    void end() {}
  } sink;
  const std::string block(1000, 'x');
  ASSERT_TRUE(decoder.feed(base::as_bytes("{\"a\":\""), sink));
  for (int i = 0; i < 10000; ++i) ASSERT_TRUE(decoder.feed(base::as_bytes(block), sink));
  ASSERT_TRUE(decoder.feed(base::as_bytes("\"}"), sink));
  ASSERT_TRUE(decoder.finish(sink));
  EXPECT_EQ(sink.bytes, 10'000'000u);
  EXPECT_LT(arena.used(), 1024u);
}

TEST(Json, SaysWhenTheArenaIsFull) {
  std::vector<std::uint8_t> memory(128);
  base::Arena arena(memory);
  JsonDecoder decoder(arena, {});
  PairSink sink;
  EXPECT_FALSE(decoder.feed(base::as_bytes("{\"" + std::string(200, 'k') + "\":1}"), sink));
  EXPECT_EQ(decoder.reason(), abi::Reason::kTransactionMemory);
}

}  // namespace
}  // namespace sluice::http::testing
