// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/ulid.h"

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

TEST(Ulid, TextOfSpecificationExampleRoundTrips) {
  Ulid ulid;
  ASSERT_TRUE(parse_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV", ulid));
  EXPECT_EQ(ulid.high >> 16, 1469922850259ULL);  // the time part, in ms
  const UlidText text = to_text(ulid);
  EXPECT_EQ(std::string_view(text.data(), text.size()), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

TEST(Ulid, RefusesWrongLengthDigitAndOverflow) {
  Ulid ulid;
  EXPECT_FALSE(parse_ulid("01ARZ3NDEKTSV4RRFFQ69G5FA", ulid));
  EXPECT_FALSE(parse_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAU", ulid));  // U is not a digit
  EXPECT_FALSE(parse_ulid("8ZZZZZZZZZZZZZZZZZZZZZZZZZ", ulid));
}

TEST(Ulid, GeneratorKeepsTimeAndNeverRepeatsInARow) {
  UlidGenerator generator(7);
  const Ulid a = generator.next(1000), b = generator.next(1000);
  EXPECT_NE(a, b);
  EXPECT_EQ(a.high >> 16, 1000u);
}

}  // namespace
}  // namespace sluice::base
