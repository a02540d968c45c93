// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "dataplane/base/check.h"
#include "tests/unit/http/transcript.h"

/// A connection cut at chosen places reads as the whole does: messages, bodies and reason, strict
/// and leniently. Input: mode, number of cuts, two bytes for each cut, the stream.

namespace {

using namespace sluice::http::testing;

Cuts take_cuts(std::string_view& input) {
  if (input.empty()) return {};
  const std::size_t count = static_cast<std::uint8_t>(input[0]) % 8;
  input.remove_prefix(1);
  Cuts cuts;
  while (cuts.size() < count && input.size() >= 2) {
    const auto high = static_cast<std::uint8_t>(input[0]),
               low = static_cast<std::uint8_t>(input[1]);
    cuts.push_back(std::size_t{high} * 256 + low);
    input.remove_prefix(2);
  }
  for (std::size_t& cut : cuts) cut = input.empty() ? 0 : cut % input.size();
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

void check_requests(std::string_view stream, const Cuts& cuts) {
  const Transcript whole = read_requests(stream);
  SLUICE_CHECK(read_requests(stream, cuts) == whole);
  SLUICE_CHECK(read_requests(stream, every_byte(stream.size())) == whole);
  const Transcript lenient = read_requests_leniently(stream);
  SLUICE_CHECK(lenient.reason == whole.reason);
  SLUICE_CHECK(lenient.messages.size() >= whole.messages.size());
  (void)read_requests_leniently(stream, cuts);
}

void check_responses(std::string_view stream, std::uint8_t mode, const Cuts& cuts) {
  const sluice::http::ResponseContext context{.head_request = (mode & 2) != 0,
                                              .upgrade_requested = (mode & 4) != 0};
  const Transcript whole = read_responses(stream, context, true);
  SLUICE_CHECK(read_responses(stream, context, true, cuts) == whole);
  SLUICE_CHECK(read_responses(stream, context, true, every_byte(stream.size())) == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto mode = static_cast<std::uint8_t>(input[0]);
  input.remove_prefix(1);
  const Cuts cuts = take_cuts(input);
  if ((mode & 1) == 0) {
    check_requests(input, cuts);
  } else {
    check_responses(input, mode, cuts);
  }
  return 0;
}
