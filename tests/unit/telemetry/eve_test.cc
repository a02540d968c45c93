// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/eve.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "controlplane/telemetry/json_writer.h"

namespace sluice::telemetry {
namespace {

std::string written(std::string_view text) {
  std::string out;
  JsonWriter json(out);
  json.text(text);
  return out;
}

TEST(Eve, TimestampIsTheCalendarsInUtc) {
  EXPECT_EQ(eve_timestamp(0), "1970-01-01T00:00:00.000000+0000");
  EXPECT_EQ(eve_timestamp(951'782'399'999'999'999), "2000-02-28T23:59:59.999999+0000");
  EXPECT_EQ(eve_timestamp(951'782'400'000'001'000), "2000-02-29T00:00:00.000001+0000");
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t wall_ns = random() % 9'000'000'000'000'000'000;  // before the year 2256
    const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    ASSERT_EQ(eve_timestamp(wall_ns).substr(0, 19), date) << wall_ns;
  }
}

TEST(JsonWriter, ReadersGetTheTextThatWasWritten) {
  std::mt19937_64 random(1);
  static constexpr std::string_view kPieces[] = {
      "a", "/api/items?q=", "\"", "\\", "\n", "\x7f", "\x01", "é", "€", "😀", " "};
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (std::uint64_t left = random() % 12; left > 0; --left) {
      text += kPieces[random() % std::size(kPieces)];
    }
    ASSERT_TRUE(is_utf8(text));
    ASSERT_EQ(nlohmann::json::parse(written(text)).get<std::string>(), text);
  }
  EXPECT_EQ(written(std::string_view("\0", 1)), "\"\\u0000\"");
}

TEST(JsonWriter, ReplacesEachByteOutsideUtf8) {
  // A lone continuation, an overlong slash, a surrogate, a sequence cut short.
  for (const std::string_view bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad));
    std::string replaced;
    for (std::size_t i = 0; i < bad.size(); ++i) replaced += "\xef\xbf\xbd";
    EXPECT_EQ(written("a" + std::string(bad) + "b"), "\"a" + replaced + "b\"");
    EXPECT_FALSE(is_utf8("a" + std::string(bad) + "b"));
  }
}

}  // namespace
}  // namespace sluice::telemetry
