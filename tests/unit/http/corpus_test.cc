// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/http/transcript.h"

/// The request streams of tests/system/http_cases.py through RequestParser: each one whole, byte by
/// byte, and cut in two at every position gives its one reading.
namespace sluice::http::testing {
namespace {

struct Case {
  std::string id, stream, reason;
  bool complete;
  struct Request {
    std::string start, body;
  };
  std::vector<Request> requests;
};

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::vector<Case> load_cases() {
  std::ifstream file(HTTP_CASES_FILE);
  std::vector<Case> cases;
  for (const auto& entry : nlohmann::json::parse(file)) {
    Case made{entry["id"], from_hex(entry["hex"]), entry["reason"], entry["complete"], {}};
    for (const auto& request : entry["requests"]) {
      made.requests.push_back({request["method"].get<std::string>() + " " +
                                   from_hex(request["target"].get<std::string>()),
                               from_hex(request["body"].get<std::string>())});
    }
    cases.push_back(made);
  }
  return cases;
}

class Corpus : public ::testing::TestWithParam<Case> {};

void expect_reading(const Case& wanted, const Transcript& got) {
  EXPECT_EQ(got.reason, wanted.reason);
  std::vector<Message> complete;
  for (const Message& message : got.messages) {
    if (message.complete) complete.push_back(message);
  }
  ASSERT_EQ(complete.size(), wanted.requests.size());
  for (std::size_t i = 0; i < complete.size(); ++i) {
    EXPECT_EQ(complete[i].start, wanted.requests[i].start);
    EXPECT_EQ(complete[i].body, wanted.requests[i].body);
  }
  const bool ended = complete.empty() ? false : complete.back().end_offset == wanted.stream.size();
  EXPECT_EQ(ended, wanted.reason == "none" && wanted.complete);
}

TEST_P(Corpus, HasOneStrictReading) {
  SCOPED_TRACE(GetParam().id);
  expect_reading(GetParam(), read_requests(GetParam().stream));
}

TEST_P(Corpus, ReadsTheSameHoweverItIsCut) {
  const std::string& stream = GetParam().stream;
  const Transcript whole = read_requests(stream);
  EXPECT_EQ(read_requests(stream, every_byte(stream.size())), whole);
  const std::size_t step = stream.size() > 2000 ? 997 : 1;
  for (std::size_t cut = 1; cut < stream.size(); cut += step) {
    ASSERT_EQ(read_requests(stream, {cut}), whole) << "cut at " << cut;
  }
}

/// Refusal decides the verdict, not what is seen: reading goes on without a crash or a loop.
TEST_P(Corpus, IsReadOnAfterRefusal) {
  const std::string& stream = GetParam().stream;
  const Transcript whole = read_requests_leniently(stream);
  EXPECT_EQ(whole.reason, GetParam().reason);
  if (stream.size() > 2000) return;
  EXPECT_EQ(read_requests_leniently(stream, every_byte(stream.size())), whole);
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.id;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Http, Corpus, ::testing::ValuesIn(load_cases()), name_of);

}  // namespace
}  // namespace sluice::http::testing
