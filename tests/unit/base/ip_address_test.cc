// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/ip_address.h"

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

TEST(IpAddress, ReadsBothFamiliesIntoOneForm) {
  EXPECT_EQ(IpAddress::parse("10.1.2.3")->v4_number(), 0x0a010203U);
  EXPECT_TRUE(IpAddress::parse("::ffff:10.1.2.3")->is_v4());
  EXPECT_EQ(IpAddress::parse("::ffff:10.1.2.3"), IpAddress::from_v4_number(0x0a010203));
  EXPECT_FALSE(IpAddress::parse("::10.1.2.3")->is_v4());
  EXPECT_EQ(IpAddress::parse("2001:DB8::1")->to_string(), "2001:db8::1");
  EXPECT_EQ(IpAddress::parse("::ffff:10.1.2.3")->to_string(), "10.1.2.3");
}

TEST(IpAddress, RefusesWhatIsReadInTwoWays) {
  for (const char* text :
       {"", "1", "1.2.3", "1.2.3.4.5", "010.1.1.1", "256.1.1.1", "1.2.3.", "a", " 1.2.3.4",
        "1.2.3.4 ", "fe80::1%eth0", "[::1]", "1::2::3", ":", "-1.2.3.4"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0x", 5)));
}

TEST(IpPrefix, ContainsByItsFirstBits) {
  const auto eight = IpPrefix::parse("10.255.0.0/8");
  EXPECT_EQ(eight->to_string(), "10.0.0.0/8");
  EXPECT_TRUE(eight->contains(*IpAddress::parse("10.9.8.7")));
  EXPECT_FALSE(eight->contains(*IpAddress::parse("11.0.0.0")));
  const auto odd = IpPrefix::parse("192.0.2.128/27");
  EXPECT_TRUE(odd->contains(*IpAddress::parse("192.0.2.159")));
  EXPECT_FALSE(odd->contains(*IpAddress::parse("192.0.2.160")));
  const auto six = IpPrefix::parse("2001:db8::/33");
  EXPECT_TRUE(six->contains(*IpAddress::parse("2001:db8:7fff::1")));
  EXPECT_FALSE(six->contains(*IpAddress::parse("2001:db8:8000::1")));
  EXPECT_TRUE(IpPrefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("203.0.113.1")));
  EXPECT_FALSE(IpPrefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("2001::1")));
  EXPECT_EQ(IpPrefix::parse("192.0.2.1")->bits, 128);
}

TEST(IpPrefix, RefusesBadLengths) {
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "::/129", "::/-1", "/8"}) {
    EXPECT_FALSE(IpPrefix::parse(text)) << text;
  }
}

TEST(IpAddress, ClientKeysAreMaskedByFamily) {
  EXPECT_EQ(mask_client(*IpAddress::parse("192.0.2.77"), 24, 64).to_string(), "192.0.2.0");
  EXPECT_EQ(mask_client(*IpAddress::parse("2001:db8:1:2:3::4"), 24, 64).to_string(),
            "2001:db8:1:2::");
}

}  // namespace
}  // namespace sluice::base
