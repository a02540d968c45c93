// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/multipart.h"

#include <gtest/gtest.h>

#include "tests/unit/http/multipart_sink.h"
#include "tests/unit/http/pieces.h"

namespace sluice::http::testing {
namespace {

using abi::Strict;
using Parts = std::vector<Part>;

constexpr std::string_view kType = "multipart/form-data; boundary=B";

MultipartBody decode(std::string_view body, std::string_view type = kType) {
  const MultipartBody whole = decode_multipart(type, {body});
  if (body.size() < 600) {
    for_every_cut(body, [&](const auto& chunks) {
      EXPECT_EQ(decode_multipart(type, chunks), whole) << chunks[0];
    });
  }
  return whole;
}

std::string part(std::string_view disposition, std::string_view data, std::string_view more = "") {
  return "--B\r\nContent-Disposition: " + std::string(disposition) + "\r\n" + std::string(more) +
         "\r\n" + std::string(data) + "\r\n";
}
std::string body_of(std::string_view disposition) { return part(disposition, "x") + "--B--\r\n"; }

TEST(Multipart, ReadsFieldsAndFiles) {
  const MultipartBody body = decode(part("form-data; name=\"a\"", "1") +
                                    part("form-data; name=\"f\"; filename=\"x.txt\"",
                                         "file\r\ndata", "Content-Type: text/plain\r\n") +
                                    part("form-data; name=b", "") + "--B--\r\n");
  ASSERT_EQ(body.parts.size(), 3u);
  EXPECT_EQ(body.parts[0],
            (Part{"a", "", false, {"Content-Disposition: form-data; name=\"a\""}, "1", true}));
  EXPECT_EQ(body.parts[1].filename, "x.txt");
  EXPECT_TRUE(body.parts[1].is_file);
  EXPECT_EQ(body.parts[1].data, "file\r\ndata");
  EXPECT_EQ(body.parts[1].headers[1], "Content-Type: text/plain");
  EXPECT_EQ(body.parts[2].name, "b");
  EXPECT_EQ(body.parts[2].data, "");
  EXPECT_FALSE(body.flags.strict_error());
  EXPECT_TRUE(body.flags.crlf_line);
  EXPECT_EQ(body.flags.unmatched_boundary, 2);
  EXPECT_EQ(body.failures, 0u);
}

TEST(Multipart, HB21KeepsDataThatResemblesABoundary) {
  for (const std::string_view data :
       {"\r\n--", "\r\n--A", "\r\n--\r\n", "a\r\n\r\n-", "\r", "\n", "\r\r\n", "\r\n\r\n", "--X",
        "-", "\r\n-B", "x\r\n--C--", "\n--A\n"}) {
    const MultipartBody body = decode(part("form-data; name=\"a\"", data) + "--B--\r\n");
    ASSERT_EQ(body.parts.size(), 1u);
    EXPECT_EQ(body.parts[0].data, data);
    EXPECT_TRUE(body.parts[0].ended);
    EXPECT_FALSE(body.flags.error);
  }
}

TEST(Multipart, HB21ACarriageReturnKeepsDashesApart) {
  // Wherever a segment ends. A later boundary would hide it.
  for (const std::string_view data : {"-\r-B", "x\n-\r-B--", "\r\n-\r\r-B\r\n"}) {
    const MultipartBody body =
        decode("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + std::string(data));
    EXPECT_EQ(body.flags.unmatched_boundary, 0) << data;
  }
}

TEST(Multipart, HB7FlagsStructure) {
  const std::string good = part("form-data; name=\"a\"", "1");
  const auto structure = strict_bit(Strict::kMultipartStructure);
  struct Case {
    std::string body;
    bool MultipartFlags::*flag;
  };
  for (const auto& [text, flag] :
       {Case{"junk\r\n" + good + "--B--\r\n", &MultipartFlags::data_before},
        Case{"\r\n" + good + "--B--\r\n", &MultipartFlags::data_before},
        Case{good + "--B--\r\njunk", &MultipartFlags::data_after},
        Case{good + "--B--\r\n\r\n", &MultipartFlags::data_after},
        Case{good, &MultipartFlags::error}, Case{"no boundary at all", &MultipartFlags::error},
        Case{good + "--B--x\r\n", &MultipartFlags::error},
        Case{"--B\nContent-Disposition: form-data; name=a\n\n1\n--B--\n", &MultipartFlags::lf_line},
        Case{"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\n--B--\r\n",
             &MultipartFlags::lf_line},
        Case{"--B\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--B--\r\n",
             &MultipartFlags::header_folding}}) {
    const MultipartBody body = decode(text);
    EXPECT_TRUE(body.flags.*flag) << text;
    EXPECT_TRUE(body.flags.strict_error()) << text;
    EXPECT_EQ(body.failures & structure, structure) << text;
  }
}

TEST(Multipart, HB7TheFinalLineEndMayLack) {
  const MultipartBody body = decode(part("form-data; name=\"a\"", "1") + "--B--");
  EXPECT_FALSE(body.flags.error);
  EXPECT_EQ(body.parts.at(0).data, "1");
}

TEST(Multipart, HB7NamesNestedParts) {
  const MultipartBody body =
      decode(part("form-data; name=a", "x", "Content-Type: multipart/mixed; boundary=C\r\n") +
             "--B--\r\n");
  EXPECT_EQ(body.failures, strict_bit(Strict::kMultipartStructure));
}

TEST(Multipart, HB8NamesHeadsThatServersReadDifferently) {
  const auto headers = strict_bit(Strict::kMultipartHeaders);
  for (const std::string_view disposition :
       {"form-data; name='a'", "form-data; name=\"a\\\"b\"", "form-data; name=\"a\"; name=\"b\"",
        "form-data; name=\"a\"; filename=\"x\"; filename=\"y\"",
        "form-data; name=\"a\"; filename=\"x\"; filename*=utf-8''y", "form-data; name*=utf-8''a",
        "form-data; name=\"a\"x", "form-data; name=\"\"", "form-data", "attachment; name=\"a\"",
        "form-data; name=\"a\"; foo=bar", "form-data; name=\"a\x01\"",
        "form-data; name=\"=?utf-8?Q?q=5B=24ne=5D?=\"",
        "form-data; name=a; filename=\"x =?iso-8859-1?b?Li4vLi4vZXRjL3Bhc3N3ZA==?=\"",
        "form-data; name=a; filename==?utf-8?B?Jw==?="}) {
    EXPECT_EQ(decode(body_of(disposition)).failures & headers, headers) << disposition;
  }
  for (const std::string_view encoding : {"base64", "quoted-printable", "x"}) {
    const std::string more = "Content-Transfer-Encoding: " + std::string(encoding) + "\r\n";
    EXPECT_EQ(decode(part("form-data; name=a", "x", more) + "--B--\r\n").failures, headers);
  }
  EXPECT_EQ(
      decode(part("form-data; name=a", "x", "Content-Transfer-Encoding: 8bit\r\n") + "--B--\r\n")
          .failures,
      0u);
  EXPECT_EQ(decode(part("form-data; name=a", "x", "Content-Disposition: form-data; name=b\r\n") +
                   "--B--\r\n")
                .failures,
            headers);
}

TEST(Multipart, HB8SignsOfAnEncodedWordAloneAreNone) {
  for (const std::string_view filename : {"a=?.txt", "?=a", "what?=no=?.txt", "a=?b", "=?="}) {
    const std::string disposition = "form-data; name=a; filename=\"" + std::string(filename) + "\"";
    EXPECT_EQ(decode(body_of(disposition)).failures, 0u) << filename;
  }
}

TEST(Multipart, QuotesOfAnExtendedValueAreNoQuoting) {
  EXPECT_FALSE(
      decode(body_of("form-data; name=\"a\"; filename=\"x\"; filename*=UTF-8'en'%e2%82%ac"))
          .flags.invalid_quoting);
  EXPECT_TRUE(decode(body_of("form-data; name=\"a\"; filename=x'y")).flags.invalid_quoting);
}

TEST(Multipart, HB8ReadsParametersWithBlanksAroundTheirSign) {
  const MultipartBody body = decode(body_of("form-data; name = \"a\"; filename\t=x"));
  EXPECT_FALSE(body.flags.error);
  ASSERT_EQ(body.parts.size(), 1u);
  EXPECT_EQ(body.parts[0].name, "a");
  EXPECT_EQ(body.parts[0].filename, "x");
  EXPECT_EQ(body.failures, strict_bit(Strict::kMultipartHeaders));
}

TEST(Multipart, HB8UnescapesQuotesAndBackslashesAlone) {
  const MultipartBody body =
      decode(body_of("form-data; name=\"a\\\"\\\\\\n\"; filename=\"C:\\x\""));
  ASSERT_EQ(body.parts.size(), 1u);
  EXPECT_EQ(body.parts[0].name, "a\"\\\\n");
  EXPECT_EQ(body.parts[0].filename, "C:\\x");
}

TEST(Multipart, HB9AnEmptyFilenameMakesNoFile) {
  const MultipartBody body = decode(body_of("form-data; name=\"a\"; filename=\"\""));
  ASSERT_EQ(body.parts.size(), 1u);
  EXPECT_FALSE(body.parts[0].is_file);
}

TEST(Multipart, HB2LooksAtTheCharsetOfEveryPart) {
  const auto charset = strict_bit(Strict::kBodyCharset);
  const std::string odd =
      part("form-data; name=a", "x", "Content-Type: text/plain; charset=ibm037\r\n");
  const std::string good =
      part("form-data; name=b", "x", "Content-Type: text/plain; charset=utf-8\r\n");
  EXPECT_EQ(decode(odd + good + "--B--\r\n").failures, charset);
  EXPECT_EQ(decode(good + "--B--\r\n").failures, 0u);
  EXPECT_EQ(decode(body_of("form-data; name=\"_charset_\"")).failures, charset);
}

TEST(Multipart, HB6NamesBoundariesThatServersReadDifferently) {
  const auto type = [](std::string_view rest) { return "multipart/form-data" + std::string(rest); };
  for (const std::string& value :
       {type(""), type("; boundary="), type("; boundary=\"a"), type("; boundary=a; boundary=b"),
        type("; Boundary=a"), type("; boundary =a"), type("; boundary= a"), type(" boundary=a"),
        type("; boundary=\"a \""), type("; boundary=a b"), type("; charset=x; boundary=a"),
        type("; boundary=" + std::string(71, 'a')), type("; boundary=a*b{"),
        type("; boundary=" + std::string(2000, 'a')), type("; boundary=a,b"),
        type("; boundary*=utf-8''a")}) {
    EXPECT_TRUE(multipart_boundary(value).ambiguous) << value;
  }
  for (const auto& [value, text] :
       {std::pair<std::string, std::string>{type("; boundary=a"), "a"},
        {type(";boundary=----WebKitFormBoundaryx"), "----WebKitFormBoundaryx"},
        {type("; boundary=\"a b:c=d\""), "a b:c=d"},
        {type("; boundary=" + std::string(70, 'a')), std::string(70, 'a')},
        {type("; boundary=a; charset=utf-8"), "a"}}) {
    EXPECT_FALSE(multipart_boundary(value).ambiguous) << value;
    EXPECT_EQ(multipart_boundary(value).text, text);
  }
}

TEST(Multipart, BoundsPartsAndHeads) {
  std::string many;
  for (std::size_t i = 0; i <= abi::kMultipartPartsMax; ++i) many += part("form-data; name=a", "1");
  EXPECT_EQ(decode_multipart(kType, {many}).reason, abi::Reason::kHttpArgs);
  const std::string large = part("form-data; name=a", "1", "X: " + std::string(5000, 'x') + "\r\n");
  EXPECT_EQ(decode_multipart(kType, {large}).reason, abi::Reason::kHttpArgs);
}

}  // namespace
}  // namespace sluice::http::testing
