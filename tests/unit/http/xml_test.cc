// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/xml.h"

#include <gtest/gtest.h>

#include "tests/unit/http/pieces.h"

namespace sluice::http::testing {
namespace {

using abi::Strict;

struct Decoded {
  std::string text;
  std::vector<std::string> nodes;
  std::vector<Pair> attributes;
  XmlError error = XmlError::kNone;
  std::uint64_t failures = 0;
  bool operator==(const Decoded&) const = default;
};

struct XmlSink {
  Decoded& to;
  std::string node{};
  void text(base::Bytes piece) {
    to.text += base::as_text(piece);
    node += base::as_text(piece);
  }
  void text_end() {
    to.nodes.push_back(node);
    node.clear();
  }
  void reference(base::Bytes piece) {
    EXPECT_EQ(node, "");
    to.text += base::as_text(piece);
  }
  void attribute(std::string_view name, std::string_view value) {
    to.attributes.emplace_back(name, value);
  }
};

Decoded decode_chunks(const std::vector<std::string_view>& chunks) {
  std::vector<std::uint8_t> memory(512 * 1024);
  base::Arena arena(memory);
  XmlDecoder decoder(arena);
  Decoded decoded;
  XmlSink sink{decoded};
  bool good = true;
  for (const std::string_view chunk : chunks) {
    if (good) good = decoder.feed(base::as_bytes(chunk), sink);
  }
  if (good) good = decoder.finish(sink);
  decoded.error = decoder.error();
  decoded.failures = decoder.strict_failures();
  EXPECT_EQ(good, decoded.error == XmlError::kNone);
  return decoded;
}

Decoded decode(std::string_view text) {
  const Decoded whole = decode_chunks({text});
  if (text.size() < 300 && whole.error == XmlError::kNone) {
    for_every_cut(text, [&whole](const auto& chunks) { EXPECT_EQ(decode_chunks(chunks), whole); });
  }
  return whole;
}

TEST(Xml, GivesTextOfAllElementsAndEveryAttribute) {
  const Decoded decoded = decode("<a x='1'><b>te</b>xt <c y=\"2\" z='&lt;3'/>end</a>");
  EXPECT_EQ(decoded.text, "text end");
  EXPECT_EQ(decoded.attributes, (std::vector<Pair>{{"x", "1"}, {"y", "2"}, {"z", "<3"}}));
  EXPECT_EQ(decoded.failures, 0u);
}

TEST(Xml, HB15JoinsCdataAndTextAroundComments) {
  EXPECT_EQ(decode("<a>un<![CDATA[ion se]]>le<!-- x -->ct &#x27;&amp;</a>").text,
            "union select '&");
}

TEST(Xml, TextNodesEndAtMarkup) {
  using Nodes = std::vector<std::string>;
  EXPECT_EQ(decode("<a>one<b>two</b>three</a>\n").nodes, (Nodes{"one", "two", "three"}));
  EXPECT_EQ(decode("<a> <b/>\r\n<c> q </c></a>").nodes, (Nodes{" ", "\n", " q "}));
  EXPECT_EQ(decode("<a>x<!-- c -->y<?pi z?>w</a>").nodes, (Nodes{"x", "y", "w"}));
  EXPECT_EQ(decode("<a>a&lt;b&#x41;&amp;c</a>").nodes, Nodes{"a<bA&c"});
  EXPECT_EQ(decode("<a b='1'/>").nodes, Nodes{});
}

// XPath joins CDATA to the text around it; libxml2, whose tree libmodsecurity asks, does not.
TEST(Xml, CdataIsATextNodeOfItsOwn) {
  using Nodes = std::vector<std::string>;
  EXPECT_EQ(decode("<a>x<![CDATA[c]]>y</a>").nodes, (Nodes{"x", "c", "y"}));
  EXPECT_EQ(decode("<a><![CDATA[c]]><![CDATA[d]]></a>").nodes, Nodes{"cd"});
  EXPECT_EQ(decode("<a>x<![CDATA[]]>y</a>").nodes, (Nodes{"x", "", "y"}));
}

TEST(Xml, ReferencesEndTextNodesAndAreInNone) {
  const Decoded decoded = decode("<!DOCTYPE a [<!ENTITY e \"ent\">]><a>x&e;y</a>");
  EXPECT_EQ(decoded.nodes, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(decoded.text, "x&e;y");
}

TEST(Xml, TextBeforeAnErrorIsANode) {
  EXPECT_EQ(decode_chunks({"<a>one<b>two</a>"}).nodes, (std::vector<std::string>{"one", "two"}));
}

TEST(Xml, HB15SeesDoctypeAndExpandsNoEntity) {
  const Decoded decoded = decode("<!DOCTYPE a [<!ENTITY e \"attack\">]><a>x&e;y<b>z</b></a>");
  EXPECT_EQ(decoded.failures, strict_bit(Strict::kXmlDoctype));
  EXPECT_EQ(decoded.text, "x&e;yz");
  const Decoded external =
      decode("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>");
  EXPECT_EQ(external.failures, strict_bit(Strict::kXmlDoctype));
}

TEST(Xml, HB15BoundsEntityExpansionInAttributes) {
  std::string text = "<!DOCTYPE a [<!ENTITY e0 \"xxxxxxxxxx\">";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "&e" + std::to_string(i - 1) + ";";
    text += "<!ENTITY e" + std::to_string(i) + " \"";
    for (int copy = 0; copy < 10; ++copy) text += before;
    text += "\">";
  }
  const Decoded decoded = decode_chunks({text + "]><a x='&e9;'/>"});
  EXPECT_NE(decoded.error, XmlError::kNone);
}

TEST(Xml, HB15RefusesWhatIsNotWellFormed) {
  for (const std::string_view text :
       {"", "x", "<a>", "<a></b>", "<a b></a>", "<a/><a/>", "<a>&e;</a>", "<a x='1' x='2'/>",
        "<a>\x01</a>", "<a>\xff</a>"}) {
    const Decoded decoded = decode(text);
    EXPECT_EQ(decoded.error, XmlError::kSyntax) << text;
    EXPECT_EQ(decoded.failures, strict_bit(Strict::kXmlSyntax)) << text;
  }
}

TEST(Xml, HB15NamesOddEncodings) {
  const auto encoding = strict_bit(Strict::kXmlEncoding);
  EXPECT_EQ(decode("<?xml version='1.0' encoding='UTF-8'?><a/>").failures, 0u);
  EXPECT_EQ(decode("<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>").failures, encoding);
  EXPECT_EQ(decode_chunks({"<?xml version='1.0' encoding='utf-7'?><a/>"}).failures, encoding);
  constexpr std::string_view kUtf16 = "\xff\xfe<\0a\0/\0>\0";
  EXPECT_EQ(decode_chunks({kUtf16.substr(0, 2), std::string_view("<\0a\0/\0>\0", 8)}).failures,
            encoding);
}

TEST(Xml, HB15BoundsDepthAndAttributes) {
  const auto nested = [](std::size_t depth) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += "<a>";
    for (std::size_t i = 0; i < depth; ++i) text += "</a>";
    return text;
  };
  EXPECT_EQ(decode(nested(64)).failures, 0u);
  EXPECT_EQ(decode(nested(65)).failures, strict_bit(Strict::kXmlDepth));
  EXPECT_EQ(decode(nested(513)).error, XmlError::kDepth);
  std::string text = "<a";
  for (int i = 0; i < 65; ++i) text += " a" + std::to_string(i) + "='1'";
  EXPECT_EQ(decode(text + "/>").failures, strict_bit(Strict::kXmlDepth));
}

TEST(Xml, BoundsItsMemory) {
  const Decoded decoded = decode_chunks({"<a x='", std::string(600000, 'x'), "'/>"});
  EXPECT_EQ(decoded.error, XmlError::kMemory);
  std::vector<std::uint8_t> memory(512);
  base::Arena arena(memory);
  XmlDecoder decoder(arena);
  EXPECT_EQ(decoder.reason(), abi::Reason::kTransactionMemory);
}

}  // namespace
}  // namespace sluice::http::testing
