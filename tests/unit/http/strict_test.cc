// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "dataplane/http/request_parser.h"
#include "dataplane/http/strict_checks.h"

/// Every switch on heads that fail it and on heads that honest clients send.
namespace sluice::http::testing {
namespace {

using abi::Strict;

constexpr std::uint64_t kAll = (std::uint64_t{1} << abi::kStrictCount) - 1;

std::uint64_t failures(std::string_view stream, bool trusted = false, std::uint64_t on = kAll) {
  std::vector<std::uint8_t> memory(32 * 1024);
  base::Arena arena(memory);
  RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  const Step step = parser.feed(base::as_bytes(stream));
  EXPECT_EQ(step.event, Event::kHeadComplete) << stream;
  return strict_head_failures(parser.head(), on, trusted);
}

std::uint64_t of_target(std::string_view target) {
  return failures("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
}
std::uint64_t of_fields(std::string_view fields, bool trusted = false) {
  return failures("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n\r\n", trusted);
}

struct TargetCase {
  std::string_view target;
  Strict strict;
};

TEST(Strict, TargetsFailTheirSwitch) {
  for (const auto& [target, strict] : {
           TargetCase{"/a%00b", Strict::kPathNul},
           {"/a%2fb", Strict::kPathSlash},
           {"/a%5Cb", Strict::kPathSlash},
           {"/..", Strict::kPathRoot},
           {"/a/../../b", Strict::kPathRoot},
           {"/a/%2e%2E/../b", Strict::kPathRoot},
           {"/a//../../b", Strict::kPathRoot},
           {"/a\\..\\..\\b", Strict::kPathRoot},
           {"/a/..;x/b", Strict::kPathParameter},
           {"/a/.;x/b", Strict::kPathParameter},
           {"/a%zz", Strict::kPathPercent},
           {"/a%4", Strict::kPathPercent},
           {"/a%", Strict::kPathPercent},
           {"/%c0%af", Strict::kOverlongUtf8},
           {"/\xc1\x9c", Strict::kOverlongUtf8},
           {"/%e0%80%af", Strict::kOverlongUtf8},
           {"/%f0%80%80%af", Strict::kOverlongUtf8},
           {"/%ed%a0%80", Strict::kOverlongUtf8},
           {"/x#y", Strict::kFragment},
           {"/x?a#y", Strict::kFragment},
           {"/<x", Strict::kPathBytes},
           {"/x\"", Strict::kPathBytes},
           {"/x\\y", Strict::kPathBytes},
           {"/x`", Strict::kPathBytes},
           {"/x?<", Strict::kQueryBytes},
           {"/x?\\", Strict::kQueryBytes},
           {"/\xc3\xa4", Strict::kTargetUtf8},
           {"/?\xe4", Strict::kTargetUtf8},
           {"*", Strict::kTargetForm},
       }) {
    EXPECT_TRUE(abi::is_strict(of_target(target), strict)) << target;
  }
}

TEST(Strict, HonestTargetsFailNone) {
  for (const std::string_view target :
       {"/", "/a/b.c", "/a/../b", "/a/./b", "/a/b/../../c", "/a;v=1/b", "/a%20b", "/%c3%a4", "/%e4",
        "/%F0%9F%98%80", "/a...b/..c/", "/[a]{b}|^", "/x?q=%zz&[]={}", "//a//b",
        "/~u/$&'()*+,;=:@!"}) {
    EXPECT_EQ(of_target(target), 0u) << target;
  }
}

struct FieldCase {
  std::string_view fields;
  Strict strict;
};

TEST(Strict, FieldsFailTheirSwitch) {
  for (const auto& [fields, strict] : {
           FieldCase{"X-Forwarded-Host: b", Strict::kForwardedHeaders},
           {"Forwarded: for=b", Strict::kForwardedHeaders},
           {"X-Original-URL: /admin", Strict::kInternalHeaders},
           {"Proxy: http://b", Strict::kInternalHeaders},
           {"X-Middleware-Subrequest: x", Strict::kInternalHeaders},
           {"X-HTTP-Method-Override: DELETE", Strict::kMethodOverride},
           {"Cookie: a=1; $Version=1", Strict::kCookieVersion},
           {"Range: bytes=0-1,2-3,4-5,6-7,8-9,10-11", Strict::kRange},
           {"Range: bytes=a-b", Strict::kRange},
           {"Range: bytes", Strict::kRange},
           {"Accept-Charset: utf-16", Strict::kAcceptCharset},
           {"Accept-Charset: utf-8;q=1, ibm037", Strict::kAcceptCharset},
           {"Authorization: Basic YTpi!", Strict::kCredentials},
           {"Authorization: Basic YTo=Yg==", Strict::kCredentials},
           {"Authorization: Basic YQpi", Strict::kCredentials},
           {"Authorization: Basic YTpiYR==", Strict::kCredentials},
           {"Content-Type: text", Strict::kBodyType},
           {"Content-Type: application/json; charset", Strict::kBodyType},
           {"Content-Type: application/json, text/html", Strict::kBodyType},
           {"Content-Type: text/plain; charset=utf-7", Strict::kBodyCharset},
           {"Content-Type: text/plain; charset=utf-8; charset=utf-8", Strict::kBodyCharset},
           {"Content-Encoding: gzip, gzip", Strict::kBodyEncoding},
           {"Content-Encoding: zstd", Strict::kBodyEncoding},
           {"Content-Type: multipart/form-data", Strict::kMultipartBoundary},
           {"Content-Type: multipart/form-data; boundary=\"a\"; boundary=b",
            Strict::kMultipartBoundary},
           {"Content-Length: 1\r\nContent-Type: application/grpc", Strict::kBodyTypeUnknown},
           {"Content-Length: 1", Strict::kBodyTypeUnknown},
           {"Content-Length: 1", Strict::kBodyUnexpected},
       }) {
    EXPECT_TRUE(abi::is_strict(of_fields(fields), strict)) << fields;
  }
}

TEST(Strict, HonestFieldsFailNone) {
  for (const std::string_view fields :
       {"Accept: */*", "X-Forwarded-For: 10.0.0.1", "Cookie: a=1; b=2", "Range: bytes=0-499, -500",
        "Range: items=0-9", "Accept-Charset: utf-8, iso-8859-1;q=0.5, *;q=0.1",
        "Authorization: Basic YTpi", "Authorization: Bearer a.b.c",
        "Authorization: Basic YTpiYw==", "Content-Type: application/json; charset=utf-8",
        "Content-Encoding: gzip", "Content-Type: application/json;charset=\"UTF-8\"",
        "Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "Content-Type: multipart/form-data; boundary=\"a b:c\""}) {
    EXPECT_EQ(of_fields(fields), 0u) << fields;
  }
}

TEST(Strict, ATrustedProxyMaySayWhoAsks) {
  EXPECT_EQ(of_fields("X-Forwarded-Host: b", true), 0u);
  EXPECT_EQ(of_fields("X-Original-URL: /admin", true), 0u);
  EXPECT_NE(of_fields("X-HTTP-Method-Override: PUT", true), 0u);
}

TEST(Strict, OnlySwitchesThatAreOnFail) {
  constexpr std::string_view kStream = "GET /a%zz#x HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(failures(kStream, false, 0), 0u);
  const auto bit = strict_bit(Strict::kFragment);
  EXPECT_EQ(failures(kStream, false, bit), bit);
  EXPECT_EQ(strict_reason(failures(kStream), bit), abi::Reason::kHttpTarget);
  EXPECT_EQ(strict_reason(0, kAll), abi::Reason::kNone);
}

}  // namespace
}  // namespace sluice::http::testing
