// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/keys.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::limit {
namespace {

std::string path_of(std::string_view target) {
  char buffer[kRoutePathBytesMax];
  return std::string(route_path(target, buffer));
}

TEST(RoutePath, SpellingsOfOnePathAreOne) {
  for (const char* target :
       {"/api/orders", "/api/orders/", "//api///orders", "/api/./orders", "/api/x/../orders",
        "/%61pi/orders", "/api%2Forders", "/api/orders?q=1", "/api/orders#f", "/../api/orders",
        "http://host:80/api/orders?x"}) {
    EXPECT_EQ(path_of(target), "/api/orders") << target;
  }
}

TEST(RoutePath, OddTargetsStayInBounds) {
  EXPECT_EQ(path_of(""), "/");
  EXPECT_EQ(path_of("*"), "/*");
  EXPECT_EQ(path_of("/%"), "/%");
  EXPECT_EQ(path_of("/%zz%4"), "/%zz%4");
  EXPECT_EQ(path_of("http://host"), "/");
  EXPECT_EQ(path_of("/.."), "/");
  EXPECT_EQ(path_of("/" + std::string(5000, 'a')).size(), kRoutePathBytesMax);
  EXPECT_LE(path_of("/" + std::string(5000, '/')).size(), kRoutePathBytesMax);
}

TEST(RouteMatch, SegmentsStarsAndTheRest) {
  EXPECT_TRUE(route_matches("/api/orders", "/api/orders"));
  EXPECT_TRUE(route_matches("/api/orders", "/api/orders/17"));
  EXPECT_FALSE(route_matches("/api/orders", "/api/ordersx"));
  EXPECT_TRUE(route_matches("/api/*/items", "/api/17/items"));
  EXPECT_FALSE(route_matches("/api/*/items", "/api/17/items/3"));
  EXPECT_FALSE(route_matches("/api/*", "/api"));
  EXPECT_TRUE(route_matches("/api/**", "/api"));
  EXPECT_TRUE(route_matches("/api/**", "/api/a/b/c"));
  EXPECT_FALSE(route_matches("/api/**", "/apix/a"));
  EXPECT_TRUE(route_matches("/", "/anything"));
}

TEST(Cookies, OneIsFoundAndRepeatsAreCounted) {
  std::string_view value;
  std::size_t count = 0;
  find_cookie("a=1; session=abc=; b=2", "session", value, count);
  EXPECT_EQ(value, "abc=");
  EXPECT_EQ(count, 1U);
  find_cookie("session=x;session=y", "session", value, count);
  EXPECT_EQ(count, 3U);
  find_cookie("xsession=1; Session=2; session", "session", value, count);
  EXPECT_EQ(count, 3U);
}

TEST(Keys, PartsAndTheirOrderAndAbsenceMatter) {
  base::HashKey secret;
  base::seeded_hash_key(secret, 1);
  const auto key = [&](auto&&... fill) {
    KeyBuilder builder(secret, 42);
    (fill(builder), ...);
    return builder.finish().tag;
  };
  using abi::LimitKeyPart;
  const auto header = [](std::string_view v) {
    return [v](KeyBuilder& b) { b.add(LimitKeyPart::kHeader, v); };
  };
  const auto cookie = [](std::string_view v) {
    return [v](KeyBuilder& b) { b.add(LimitKeyPart::kCookie, v); };
  };
  const auto absent = [](KeyBuilder& b) { b.add_absent(LimitKeyPart::kHeader); };
  EXPECT_EQ(key(header("a")), key(header("a")));
  EXPECT_NE(key(header("a")), key(header("b")));
  EXPECT_NE(key(header("a")), key(cookie("a")));
  EXPECT_NE(key(header("ab"), header("c")), key(header("a"), header("bc")));
  EXPECT_NE(key(header("")), key(absent));
  EXPECT_EQ(key(absent), key(absent));
}

}  // namespace
}  // namespace sluice::limit
