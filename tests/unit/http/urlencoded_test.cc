// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/urlencoded.h"

#include <gtest/gtest.h>

#include <random>

#include "dataplane/http/cookies.h"
#include "dataplane/http/query.h"
#include "tests/unit/http/pieces.h"

namespace sluice::http::testing {
namespace {

struct Decoded {
  std::vector<Pair> pairs;
  bool invalid = false;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(const std::vector<std::string_view>& chunks, char separator = '&') {
  UrlencodedDecoder decoder(separator);
  PairSink sink;
  for (const std::string_view chunk : chunks) decoder.feed(base::as_bytes(chunk), sink);
  decoder.finish(sink);
  return {sink.pairs, decoder.invalid_encoding()};
}

/// The same by the functions for contiguous text.
Decoded split_and_decode(std::string_view text, char separator = '&') {
  Decoded result;
  const auto decoded = [&result](std::string_view raw) {
    std::string to(raw.size(), '\0');
    const PercentDecoded done = percent_decode(raw, to.data());
    result.invalid |= done.invalid_count > 0;
    to.resize(done.size);
    return to;
  };
  for_each_argument(text, separator, [&](std::string_view name, std::string_view value) {
    result.pairs.emplace_back(decoded(name), decoded(value));
  });
  return result;
}

void expect_everywhere(std::string_view text, const Decoded& wanted) {
  SCOPED_TRACE(std::string(text));
  EXPECT_EQ(split_and_decode(text), wanted);
  for_every_cut(text, [&](const auto& chunks) { EXPECT_EQ(decode(chunks), wanted); });
}

// Semantics: seclang-semantics.md 3.3, tried on libmodsecurity 3.0.9.
TEST(Urlencoded, SplitsAtSeparatorsAndFirstEquals) {
  expect_everywhere("a=1&b=2", {{{"a", "1"}, {"b", "2"}}});
  expect_everywhere("a=1=2&b", {{{"a", "1=2"}, {"b", ""}}});
  expect_everywhere("=x", {{{"", "x"}}});
  expect_everywhere("=", {{{"", ""}}});
  expect_everywhere("", {});
}

TEST(Urlencoded, EmptyPieceIsAnArgumentButNothingFollowsTheLastSeparator) {
  expect_everywhere("y&=v&&z", {{{"y", ""}, {"", "v"}, {"", ""}, {"z", ""}}});
  expect_everywhere("a=1&", {{{"a", "1"}}});
  expect_everywhere("&a=1", {{{"", ""}, {"a", "1"}}});
  expect_everywhere("&", {{{"", ""}}});
}

TEST(Urlencoded, DecodesOnceAndKeepsNul) {
  expect_everywhere("%61+b=%2541%00x", {{{"a b", std::string("%41\0x", 5)}}});
  expect_everywhere("a=%26%3D%3d", {{{"a", "&=="}}});
}

TEST(Urlencoded, LeavesBrokenEscapesAndSaysSo) {
  expect_everywhere("a=%zz", {{{"a", "%zz"}}, true});
  expect_everywhere("a=%", {{{"a", "%"}}, true});
  expect_everywhere("a=%4", {{{"a", "%4"}}, true});
  expect_everywhere("a=%4&b=%", {{{"a", "%4"}, {"b", "%"}}, true});
  expect_everywhere("%%41=%4%41", {{{"%A", "%4A"}}, true});
  expect_everywhere("a=%4+", {{{"a", "%4 "}}, true});
}

TEST(Urlencoded, HB5KeepsAFinalLineEndInTheValue) {
  expect_everywhere("a=1\r\n", {{{"a", "1\r\n"}}});
}

TEST(Urlencoded, HH25GivesEveryOccurrence) {
  expect_everywhere("id=1&id=2&ID=3", {{{"id", "1"}, {"id", "2"}, {"ID", "3"}}});
}

TEST(Urlencoded, HH26SemicolonSeparatesOnlyWhereConfigured) {
  EXPECT_EQ(decode({"a=1;b=2"}).pairs, (std::vector<Pair>{{"a", "1;b=2"}}));
  EXPECT_EQ(decode({"a=1;b=2"}, ';').pairs, (std::vector<Pair>{{"a", "1"}, {"b", "2"}}));
}

TEST(Urlencoded, HB21StreamingEqualsSplittingForRandomTextAndCuts) {
  constexpr std::uint32_t kSeed = 20260601;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  constexpr std::string_view kAlphabet = "a4%%%&&==+f\0z;";
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 400, '\0');
    for (char& c : text) c = kAlphabet[random() % kAlphabet.size()];
    std::vector<std::string_view> chunks;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t size = std::min<std::size_t>(rest.size(), random() % 50);
      chunks.push_back(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    ASSERT_EQ(decode(chunks), split_and_decode(text)) << text;
  }
}

std::vector<Pair> cookies(std::string_view field) {
  std::vector<Pair> found;
  for_each_cookie(field, [&found](std::string_view name, std::string_view value) {
    found.emplace_back(name, value);
  });
  return found;
}

std::vector<Pair> quoted_cookies(std::string_view field) {
  std::vector<Pair> all;
  for_each_quoted_cookie(field, [&](std::string_view name, std::string_view value) {
    std::string to(value.size(), '\0');
    to.resize(unquote_cookie(value, to.data()));
    all.emplace_back(name, to);
  });
  return all;
}

// As SimpleCookie of Python's http.cookies and Werkzeug's parse_cookie read them.
TEST(Cookies, HH15QuotedOnesAreReadAsPythonDoes) {
  using Pairs = std::vector<Pair>;
  EXPECT_EQ(quoted_cookies(R"(a=1; q="x; y" ; b=2)"), (Pairs{{"q", "x; y"}}));
  EXPECT_EQ(quoted_cookies(R"(q="\1\'\o\r \"x\\")"), (Pairs{{"q", R"(1'or "x\)"}}));
  EXPECT_EQ(quoted_cookies(R"(q = "\047\1012\3777\477\04")"), (Pairs{{"q ",
                                                                      "'A2\xff"
                                                                      "747704"}}));
  EXPECT_EQ(quoted_cookies(R"(a="b;c";d="\e")"), (Pairs{{"a", "b;c"}, {"d", "e"}}));
  // What others split is looked at too.
  EXPECT_EQ(quoted_cookies(R"(a="b; q="\c"; d")"), (Pairs{{"q", "c"}}));
  EXPECT_EQ(quoted_cookies(R"(a="; b="\c")"), (Pairs{{"b", "c"}}));
  for (const std::string_view plain :
       {R"(a=b\c; d="e")", R"(a="b;c)", R"(a="b\)", R"(a="b\")", R"(a="b;"c)", R"("a;b")",
        R"(a=b"c;d")", "=;=", "", ";", "a", "a=", R"(a=")"}) {
    EXPECT_EQ(quoted_cookies(plain), Pairs{}) << plain;
  }
}

TEST(Cookies, HH15AreSplitAsTheReferenceDoes) {
  EXPECT_EQ(cookies("a=1; b=2"), (std::vector<Pair>{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(cookies("a =1;b= 2 ;;c;=lost; "),
            (std::vector<Pair>{{"a ", "1"}, {"b", " 2 "}, {"c", ""}}));
  EXPECT_EQ(cookies("a=\"x;y\"; $Version=1"),
            (std::vector<Pair>{{"a", "\"x"}, {"y\"", ""}, {"$Version", "1"}}));
  EXPECT_EQ(cookies("a=%41=b"), (std::vector<Pair>{{"a", "%41=b"}}));
  EXPECT_EQ(cookies(""), std::vector<Pair>());
}

}  // namespace
}  // namespace sluice::http::testing
