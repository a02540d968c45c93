// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/masked_head.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::engine {
namespace {

std::string shown(std::string_view head, std::size_t from = 0, std::size_t room = 512) {
  EventOptions::Names mask;
  EXPECT_TRUE(mask.add("authorization") && mask.add("cookie"));
  std::string out(room, '\0');
  out.resize(copy_masked_head(head, from, mask, out));
  return out;
}

TEST(MaskedHead, IsTheHeadAsItCame) {
  const std::string head = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n";
  EXPECT_EQ(shown(head), head);
  EXPECT_EQ(shown(head, 18), head.substr(18));
  EXPECT_EQ(shown(head, 0, 10), head.substr(0, 10));
  EXPECT_EQ(shown(std::string_view("\x16\x03\x01\x00", 4)),
            std::string_view("\x16\x03\x01\x00", 4));
  EXPECT_EQ(shown(""), "");
}

TEST(MaskedHead, HidesSecretsHoweverTheHeadIsDivided) {
  EXPECT_EQ(shown("GET /?password=one&a=2 HTTP/1.1\r\nCOOKIE: two\r\nA: b\r\n"),
            "GET /?password=***&a=2 HTTP/1.1\r\nCOOKIE:***\r\nA: b\r\n");
  for (const char* head :
       {"GET / HTTP/1.1\nCookie: secret-value\n", "GET / HTTP/1.1\rCookie: secret-value\r\n",
        "GET / HTTP/1.1\r\nCookie : secret-value\r\n",
        "GET / HTTP/1.1\r\n\001Cookie\t: secret-value", "GET / HTTP/1.1\r\nCookie secret-value\r\n",
        "GET / HTTP/1.1\r\nX-Api-Token secret-value",
        "GET / HTTP/1.1\r\nCookie: a\r\n secret-value\r\n\tsecret-value\r\n",
        "\r\nGET / HTTP/1.1\r\nProxy-Authorization: secret-value\r\n",
        "GET / HTTP/1.1\r\nSession-Token: secret-value\r\n"}) {
    EXPECT_EQ(shown(head).find("secret-value"), std::string::npos) << shown(head);
    EXPECT_NE(shown(head).find("GET / HTTP/1.1"), std::string::npos) << shown(head);
  }
  EXPECT_EQ(shown("Cookie: secret-value\r\n"), "Cookie:***\r\n") << "without a request line";
  EXPECT_EQ(shown("GET /cookie?a=b:c HTTP/1.1\r\n"), "GET /cookie?a=b:c HTTP/1.1\r\n");
  // A line that is not shown may be what the next one continues.
  EXPECT_EQ(shown("GET / HTTP/1.1\r\nCookie: a\r\n b\r\nA: c", 27), "***\r\nA: c");
}

}  // namespace
}  // namespace sluice::engine
