// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/base/bytes.h"
#include "perf/gen/objects.h"
#include "perf/gen/script.h"

namespace sluice::gen {
namespace {

using testing::HasSubstr;

std::string text_of(const RequestTemplate& request) {
  return std::string(base::as_text(request.bytes));
}

TEST(Profile, ReadsRequestsWithNamesAndPlaceholders) {
  const auto requests = parse_requests(
      "### first\nGET /{{number}} HTTP/1.1\nHost: a\n\n"
      "### second\r\nPOST / HTTP/1.1\r\nContent-Length: {{length}}\r\n\r\n{\"n\":{{number}}}\n",
      "f");
  ASSERT_TRUE(requests.ok());
  ASSERT_EQ(requests.value().size(), 2U);
  EXPECT_EQ(requests.value()[0].name, "first");
  EXPECT_EQ(text_of(requests.value()[0]), "GET /00000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(text_of(requests.value()[1]),
            "POST / HTTP/1.1\r\nContent-Length: 14\r\n\r\n{\"n\":00000000}");
}

TEST(Profile, SumOfAFilledRequestIsTheSumOfItsBytes) {
  // Places at even and at odd offsets.
  const auto requests =
      parse_requests("GET /{{number}}/{{number}}?a={{number}} HTTP/1.1\nHost: ab\n\n", "f");
  ASSERT_TRUE(requests.ok());
  const RequestTemplate& request = requests.value()[0];
  EXPECT_GT(request.even_places, 0U);
  EXPECT_GT(request.odd_places, 0U);
  for (const std::uint32_t number : {0U, 1U, 90'000'000U, 12'345'678U, 99'999'999U}) {
    char digits[RequestTemplate::kDigits];
    write_digits(number, digits);
    std::vector<std::uint8_t> filled = request.bytes;
    request.fill(filled.data(), digits);
    EXPECT_EQ(request.sum(digits).checksum(), net::checksum_of(filled)) << number;
  }
}

TEST(Profile, MistakesNameFileAndLine) {
  const auto unknown = parse_requests("\n\nGET /{{numbr}} HTTP/1.1\n\n", "f.http");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("f.http:3"));
  EXPECT_THAT(unknown.error().message, HasSubstr("{{numbr}}"));
  const auto empty = parse_requests("### only a name\n\n", "f.http");
  ASSERT_FALSE(empty.ok());
  EXPECT_THAT(empty.error().message, HasSubstr("no request"));
  const auto no_line = parse_requests("### x\nhello\n", "f.http");
  ASSERT_FALSE(no_line.ok());
  EXPECT_THAT(no_line.error().message, HasSubstr("f.http:2"));
  const auto large = parse_requests("POST / HTTP/1.1\n\n" + std::string(20'000, 'x'), "f.http");
  ASSERT_FALSE(large.ok());
  EXPECT_THAT(load_requests("/nowhere.http").error().message, HasSubstr("/nowhere.http"));
}

TEST(Objects, LengthTypeAndWeight) {
  const auto objects = make_objects("1k:3,64k:1:text/html", 1448);
  ASSERT_TRUE(objects.ok());
  ASSERT_EQ(objects.value().size(), 2U);
  EXPECT_EQ(objects.value()[0].weight, 3U);
  EXPECT_EQ(objects.value()[1].body_bytes, 65536U);
  const std::string_view text = base::as_text(objects.value()[1].bytes);
  const std::size_t head = text.find("\r\n\r\n") + 4;
  EXPECT_EQ(text.size() - head, 65536U);
  EXPECT_NE(text.find("Content-Length: 65536\r\n"), std::string_view::npos);
  EXPECT_NE(text.find("Content-Type: text/html\r\n"), std::string_view::npos);
  EXPECT_TRUE(text.ends_with("</html>\n"));
  for (const char* wrong : {"", "0", "1x", "1k:0", "64M", "1k,,1k", "1k:a"}) {
    EXPECT_FALSE(make_objects(wrong, 1448).ok()) << wrong;
  }
}

TEST(Script, DrawsAttacksAndObjectsByTheirShares) {
  auto honest = parse_requests("GET / HTTP/1.1\n\n### b\nGET /b HTTP/1.1\n\n", "f");
  auto attacks = parse_requests("GET /x HTTP/1.1\n\n", "f");
  auto objects = make_objects("1k:3,4k:1", 1448);
  const Script script(std::move(honest).value(), std::move(attacks).value(), 0.1,
                      std::move(objects).value());
  int attack = 0, large = 0, second = 0;
  constexpr int kDraws = 100'000;
  for (std::uint64_t key = 0; key < kDraws / 10; ++key) {
    for (std::uint32_t index = 0; index < 10; ++index) {
      const Step step = script.step(mix(key), index);
      attack += step.attack ? 1 : 0;
      large += step.object == 1 ? 1 : 0;
      second += step.request == 1 ? 1 : 0;
      ASSERT_EQ(step.attack, script.is_attack(step.request));
      ASSERT_LT(step.number, 100'000'000U);
    }
  }
  EXPECT_NEAR(attack, kDraws * 0.1, kDraws * 0.01);
  EXPECT_NEAR(large, kDraws * 0.25, kDraws * 0.01);
  EXPECT_NEAR(second, kDraws * 0.45, kDraws * 0.01);
}

}  // namespace
}  // namespace sluice::gen
