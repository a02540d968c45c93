// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "tests/unit/rules/judge_twice.h"

/// What the client sent for a value that matched.
namespace sluice::rules::test {
namespace {

using Texts = std::vector<std::string>;

constexpr const char* kEvil =
    "SecRule REQUEST_HEADERS:Content-Type \"@contains json\" "
    "\"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
    "SecRule ARGS \"@rx (?i)evil\" \"id:1,phase:2,pass,log,t:none\"\n";

Texts sent(const std::string& request, const std::string& rules = kEvil) {
  return judge(rules, request).sent;
}

TEST(SentBytes, OfAQueryAreThoseBeforeTheEscapesWereUndone) {
  EXPECT_EQ(sent(get("/?a=1&b=e%76il+x&c=2")), Texts{"e%76il+x"});
  EXPECT_EQ(sent(get("/?a=1&b=evil&c=2")), Texts{""}) << "as it stands";
  EXPECT_EQ(sent(get("/?a=%65vil&a=3&a=EVI%4C")), Texts{"EVI%4C"}) << "the last that matched";
  EXPECT_EQ(sent(get("/?a=%65vil%2&a=3")), Texts{"%65vil%2"}) << "an escape that is none";
  EXPECT_EQ(sent(get("/?n%65=1&%65vil=%20"),
                 "SecRule ARGS_NAMES \"@rx evil\" \"id:1,phase:2,pass,log,t:none\"\n"),
            Texts{"%65vil"});
}

TEST(SentBytes, OfAFormAreFoundInTheBody) {
  const std::string type = "application/x-www-form-urlencoded";
  EXPECT_EQ(sent(post(type, "a=b+c&%62=%65%76%69%6c&d=%20")), Texts{"%65%76%69%6c"});
  EXPECT_EQ(sent(post(type, "&&b=+evil")), Texts{"+evil"}) << "behind arguments without a name";
  const std::string long_value(2000, '+');
  EXPECT_EQ(sent(post(type, "a=" + long_value + "evil")), Texts{long_value + "evil"});
}

TEST(SentBytes, OfJsonAreTheInsideOfTheString) {
  const std::string body =
      R"({"k\"ey": "a:b", "list" : [1, true, null, {}, [], {"b" : "\u0065vil \"q\""}], "c": 2})";
  EXPECT_EQ(sent(post("application/json", body)), Texts{R"(\u0065vil \"q\")"});
  EXPECT_EQ(sent(post("application/json", R"({"a":"x\ny","b":"evil"})")), Texts{""});
  EXPECT_EQ(sent(post("application/json", R"("evi\u006c")")), Texts{R"(evi\u006c)"});
}

TEST(SentBytes, OfAMembersNameAreItsInside) {
  const std::string rules =
      "SecRule REQUEST_HEADERS:Content-Type \"@contains json\" "
      "\"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
      "SecRule ARGS_NAMES \"@rx __proto__\" \"id:1,phase:2,pass,log,t:none\"\n";
  const auto of_body = [&](const std::string& body) {
    return sent(post("application/json", body), rules);
  };
  EXPECT_EQ(of_body(R"({"a.b": {"\u005f_proto\u005f_" : "x"}, "c": 1})"),
            Texts{R"(\u005f_proto\u005f_)"});
  EXPECT_EQ(of_body(R"({"__proto__": "x"})"), Texts{""}) << "as it stands";
  EXPECT_EQ(of_body(R"({"__proto__": [{"\u0061": 1}, 2]})"), Texts{""})
      << "a value behind another member's name";
  EXPECT_EQ(of_body(R"({"\u005f_proto__": [0, {"x": [[1]]}]})"), Texts{R"(\u005f_proto__)"})
      << "of a member that others are in";
  EXPECT_EQ(of_body(R"({"a": {"b.__proto__": 1}, "\u0061": 2})"), Texts{""})
      << "a name that holds a point, and one that is written otherwise beside it";
  EXPECT_EQ(of_body(R"({"a": {"": {"\u005f_proto__\ud83d\ude00": 1}}})"),
            Texts{R"(\u005f_proto__\ud83d\ude00)"});
}

const std::string kXmlRules =
    "SecRule REQUEST_HEADERS:Content-Type \"@contains xml\" "
    "\"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
    "SecRule XML:/*|XML://@* \"@rx (?i)evil\" \"id:1,phase:2,pass,log,t:none\"\n";

TEST(SentBytes, OfXmlTextAreWhatStandsInTheRootElement) {
  const auto of_body = [](const std::string& body) {
    return sent(post("text/xml", body), kXmlRules);
  };
  EXPECT_EQ(of_body("<?xml version='1.0'?><!-- <x> --><a>&#101;vil &amp; more</a>\n"),
            Texts{"&#101;vil &amp; more"});
  EXPECT_EQ(of_body("<a b='>'><c>ev</c><![CDATA[il]]></a>"), Texts{"<c>ev</c><![CDATA[il]]>"})
      << "of several elements with what is between them";
  EXPECT_EQ(of_body("<a>evil</a>"), Texts{""}) << "as it stands";
  EXPECT_EQ(of_body("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&#101;vil</a>"), Texts{""})
      << "a type may change what is read";
}

TEST(SentBytes, OfAnXmlTextNodeAreItsOwn) {
  const auto of_body = [](const std::string& body) {
    std::string rules = kXmlRules;
    rules.replace(rules.find("XML:/*"), 6, "XML://text()");
    return sent(post("text/xml", body), rules);
  };
  EXPECT_EQ(of_body("<?xml version='1.0'?>\n<a>\n <b c='d'>e</b>\n <!-- f --><g/>&#101;vil</a>\n"),
            Texts{"&#101;vil"});
  EXPECT_EQ(of_body("<a>&lt;<b>ev&#105;l</b>x<c>y</c></a>"), Texts{"ev&#105;l"});
  EXPECT_EQ(of_body("<a>x<![CDATA[ev]]><![CDATA[il]]>y</a>"),
            Texts{"<![CDATA[ev]]><![CDATA[il]]>"});
  EXPECT_EQ(of_body("<a>x<b>evil</b></a>"), Texts{""}) << "as it stands";
}

TEST(SentBytes, OfAnXmlAttributeAreThoseBetweenItsQuotes) {
  const auto of_body = [](const std::string& body) {
    return sent(post("text/xml", body), kXmlRules);
  };
  EXPECT_EQ(of_body("<a x='1' y=\"&#x45;vil 'q'\"><b z='&lt;'/></a>"), Texts{"&#x45;vil 'q'"});
  EXPECT_EQ(of_body("<a x='&lt;' y = 'evil'/>"), Texts{""});
}

TEST(SentBytes, OfAnUploadsNameAreThoseBeforeItsEscapesWereUndone) {
  const std::string rules =
      "SecRule FILES|MULTIPART_FILENAME \"@rx evil\" \"id:1,phase:2,pass,log,t:none\"\n"
      "SecRule ARGS_NAMES \"@rx evil\" \"id:2,phase:2,pass,log,t:none\"\n";
  const auto of_names = [&](const std::string& field, const std::string& file) {
    return sent(post("multipart/form-data; boundary=B",
                     "--B\r\nContent-Disposition: form-data; name=\"first\"\r\n\r\nx\r\n"
                     "--B\r\nContent-Disposition: form-data; name=\"" +
                         field +
                         "\"\r\n\r\nx\r\n"
                         "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" +
                         file + "\"\r\n\r\ny\r\n--B--\r\n"),
                rules);
  };
  EXPECT_EQ(of_names("e", R"(\"evil\\.php)"), Texts{R"(\"evil\\.php)"});
  EXPECT_EQ(of_names(R"(\"evil)", "plain"), Texts{R"(\"evil)"});
  EXPECT_EQ(of_names("evil", "evil.php"), (Texts{"", ""}));
}

TEST(SentBytes, OfAPathAreTheTarget) {
  const std::string rules =
      "SecRule REQUEST_FILENAME \"@rx evil\" \"id:1,phase:1,pass,log,t:none\"\n"
      "SecRule REQUEST_URI \"@rx evil\" \"id:2,phase:1,pass,log,t:none\"\n";
  EXPECT_EQ(sent(get("/%65vil?a=b"), rules), (Texts{"/%65vil", "/%65vil?a=b"}));
  EXPECT_EQ(sent(get("/evil?a=b"), rules), (Texts{"", ""}));
}

TEST(SentBytes, OfAChainAreThoseOfTheValueThatItsLastLinkTook) {
  const std::string rules =
      "SecRule ARGS \"@rx evil\" \"id:1,phase:2,pass,log,t:none,t:lowercase,chain\"\n"
      "  SecRule MATCHED_VARS \"@rx one\" \"t:none\"\n";
  EXPECT_EQ(sent(get("/?a=EVIL%20one&b=EVIL%20two"), rules), Texts{"EVIL%20one"});
  const Judged judged = judge(rules, get("/?a=EVIL%20one&b=EVIL%20two"));
  EXPECT_EQ(judged.values, Texts{"evil one"});
}

TEST(SentBytes, OfACaptureAreThoseOfTheValueItWasTakenFrom) {
  const std::string rules =
      "SecRule ARGS \"@rx (evil.*)\" \"id:1,phase:2,pass,log,capture,t:none,chain\"\n"
      "  SecRule TX:1 \"@contains il\" \"t:none\"\n";
  EXPECT_EQ(sent(get("/?a=1&b=%20evil%20one"), rules), Texts{"%20evil%20one"});
}

TEST(SentBytes, AreNotGuessedWhereTheBodyIsNotKnown) {
  EXPECT_EQ(sent(post("application/json", R"({"a":"\u0065vil")")), Texts{""}) << "cut short";
  EXPECT_EQ(sent(post("multipart/form-data; boundary=B",
                      "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n%65 evil\r\n"
                      "--B--\r\n")),
            Texts{""})
      << "parts are not unescaped";
  const std::string rest(3 << 20, 'x');
  const Texts long_body = sent(post("application/x-www-form-urlencoded", "b=%65vil&a=" + rest));
  for (const std::string& text : long_body) EXPECT_TRUE(text.empty() || text == "%65vil") << text;
}

}  // namespace
}  // namespace sluice::rules::test
