// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "dataplane/abi/strict.h"
#include "tests/unit/engine/engine_rig.h"

/// The strict switches that only a reader of arguments and bodies can hold, through the engine.
namespace sluice::test {
namespace {

using abi::Reason;
using abi::Strict;

constexpr const char* kRules = R"(
SecRuleEngine On
SecRequestBodyAccess On
SecArgumentsLimit 5
SecRule REQUEST_HEADERS:Content-Type "@rx json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx xml" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule ARGS|REQUEST_BODY "@contains attack" "id:3,phase:2,deny"
SecRule ARGS|REQUEST_COOKIES "@streq one; two" "id:4,phase:2,deny"
)";

/// The reason of the one request's record, sent in segments as long bodies are.
Reason reason_of(const std::string& request, std::uint64_t strict, bool cut = false) {
  RigOptions options;
  options.rules = kRules;
  options.strict = strict;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  for (std::size_t at = 0; at < request.size(); at += 1400) {
    dialog.client(std::string_view(request).substr(at, 1400));
    dialog.server_acked = dialog.client_sent;
    rig.push(engine::Side::kInside, dialog.server_frame(dialog.server_sent, {}, net::kAck));
  }
  if (cut) dialog.client("", net::kFin | net::kAck);
  rig.engine->close_all(rig.now, rig.now + EngineRig::kWallOffset);
  const auto blocked = rig.records(abi::RecordType::kAlert);
  EXPECT_LE(blocked.size(), 1U);
  return blocked.empty() ? Reason::kNone : blocked[0].header.reason;
}

std::string post(const std::string& type, const std::string& body, std::size_t missing = 0) {
  return "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size() + missing) + "\r\n\r\n" + body;
}

constexpr const char* kJson = "application/json";
constexpr const char* kXml = "application/xml";
constexpr const char* kForm = "application/x-www-form-urlencoded";
constexpr const char* kMultipart = "multipart/form-data; boundary=x";
const std::string kPart = "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nv\r\n";
const std::string kEnd = "--x--\r\n";
const std::string kSmuggled = "--y\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nw\r\n";

struct BodyCase {
  Strict strict;
  Reason reason;
  const char* type;
  std::string body;
};

/// ASCII in UTF-16 or UTF-32.
std::string wide(std::string_view text, std::size_t unit, bool big) {
  std::string all;
  for (const char c : text) {
    const std::string zeros(unit - 1, '\0');
    all += big ? zeros + c : c + zeros;
  }
  return all;
}

std::vector<BodyCase> body_cases() {
  std::string deep(40, '['), attributes;
  deep += std::string(40, ']');
  for (int i = 0; i < 70; ++i) attributes += " a" + std::to_string(i) + "=\"1\"";
  return {
      {Strict::kJsonDuplicateKey, Reason::kJsonDupKey, kJson, R"({"a":1,"b":2,"a":3})"},
      {Strict::kJsonDuplicateKey, Reason::kJsonDupKey, kJson, "{\"a\":1,\"\\u0061\":3}"},
      {Strict::kJsonSyntax, Reason::kJsonSyntax, kJson, R"({"a":1,})"},
      {Strict::kJsonSyntax, Reason::kJsonSyntax, kJson, R"({"a":1}{"a":2})"},
      {Strict::kJsonSyntax, Reason::kJsonSyntax, kJson, R"({"a":1 /* c */})"},
      {Strict::kJsonSurrogate, Reason::kJsonSyntax, kJson, "{\"a\":\"\\ud800\"}"},
      {Strict::kJsonDepth, Reason::kJsonDepth, kJson, deep},
      {Strict::kXmlSyntax, Reason::kXmlSyntax, kXml, "<a><b></a>"},
      {Strict::kXmlDoctype, Reason::kXmlDoctype, kXml, "<!DOCTYPE a><a/>"},
      {Strict::kXmlEncoding, Reason::kBodyCharset, kXml,
       "<?xml version='1.0' encoding='utf-7'?><a/>"},
      {Strict::kXmlDepth, Reason::kXmlDepth, kXml, "<a" + attributes + "/>"},
      {Strict::kMultipartStructure, Reason::kMultipartStrict, kMultipart,
       kPart + kEnd + kPart + kEnd},
      {Strict::kMultipartStructure, Reason::kMultipartStrict, kMultipart, kSmuggled + kPart + kEnd},
      {Strict::kMultipartStructure, Reason::kMultipartStrict, kMultipart, kPart},
      {Strict::kMultipartHeaders, Reason::kMultipartStrict, kMultipart,
       "--x\r\nContent-Disposition: form-data; name=\"q\"; filename=\"f\"\r\n"
       "Content-Disposition: form-data; name=\"q\"\r\n\r\nv\r\n" +
           kEnd},
      {Strict::kBodyCharset, Reason::kBodyCharset, kMultipart,
       "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n"
       "Content-Type: text/plain; charset=utf-7\r\n\r\nv\r\n" +
           kEnd},
      {Strict::kBodyCharset, Reason::kBodyCharset, "x/y", wide(R"({"a":1})", 2, false)},
      {Strict::kBodyCharset, Reason::kBodyCharset, kForm, wide(R"({"a":1})", 2, true)},
      {Strict::kBodyCharset, Reason::kBodyCharset, "application/octet-stream",
       wide(" \n[ {\"a\":1}]", 4, true)},
      {Strict::kBodyCharset, Reason::kBodyCharset, "text/plain",
       "\xff\xfe" + wide("[-1.5e3 ,\"x\"]", 2, false)},
      {Strict::kBodyCharset, Reason::kBodyCharset, "x/y", wide("[true,\"x\"]", 4, false)},
      {Strict::kBodyForm, Reason::kBodyForm, kForm, "a=1&b=%4"},
      {Strict::kBodySniff, Reason::kBodyType, kForm, R"( {"a":1})"},
      {Strict::kBodySniff, Reason::kBodyType, "text/plain; charset=utf-8", R"([1])"},
      {Strict::kArguments, Reason::kHttpArgs, kForm, "a=&b=&c=&d=&e=&f="},
      {Strict::kRepeatedArguments, Reason::kHttpArgs, kForm, "a=1&b=2&%61=3"},
  };
}

TEST(StrictBody, EachSwitchRefusesItsBodiesAndNoOtherDoes) {
  for (const BodyCase& each : body_cases()) {
    const std::string request = post(each.type, each.body);
    EXPECT_EQ(reason_of(request, abi::strict_bit(each.strict)), each.reason) << each.body;
    const std::uint64_t off =
        abi::strict_bit(each.strict) | abi::strict_bit(Strict::kBodyTypeUnknown);
    EXPECT_EQ(reason_of(request, ~off), Reason::kNone) << each.body;
  }
}

TEST(StrictBody, LongBodiesAreHeldToThemToo) {
  const std::string filler(abi::kBodyBytesKept, 'x');
  const auto reason = [](const char* type, const std::string& body) {
    return reason_of(post(type, body), abi::kStrictDefault);
  };
  EXPECT_EQ(reason(kJson, R"({"a":1,"a":")" + filler + "\"}"), Reason::kJsonDupKey);
  EXPECT_EQ(reason(kJson, R"({"b":")" + filler + "\"}}"), Reason::kJsonSyntax);
  EXPECT_EQ(reason(kXml, "<a>" + filler + "</b>"), Reason::kXmlSyntax);
  EXPECT_EQ(reason(kMultipart, kSmuggled + filler + "\r\n" + kPart + kEnd),
            Reason::kMultipartStrict);
  EXPECT_EQ(reason(kForm, "p=" + filler + "&a=&b=&c=&d=&e=&f="), Reason::kHttpArgs);
  EXPECT_EQ(reason(kJson, R"({"a":1,"b":")" + filler + "\"}"), Reason::kNone);
}

TEST(StrictBody, AsManyKeysAsAllowedAreCompared) {
  const auto reason = [](std::size_t keys, const std::string& more) {
    std::string body = "{\"numbers\":[0";
    for (int i = 0; i < 20000; ++i) body += ",7";
    body += "]";
    for (std::size_t i = 1; i < keys; ++i) {
      body += ",\"a key of some length " + std::to_string(i) + "\":" + std::to_string(i);
    }
    return reason_of(post(kJson, body + more + "}"),
                     abi::kStrictDefault & ~abi::strict_bit(Strict::kJsonDepth));
  };
  EXPECT_EQ(reason(abi::kJsonStrictKeys, ""), Reason::kNone);
  EXPECT_EQ(reason(abi::kJsonStrictKeys - 1, ",\"numbers\":1"), Reason::kJsonDupKey);
  EXPECT_EQ(reason(abi::kJsonStrictKeys + 1, ""), Reason::kJsonDupKey) << "not compared";
}

TEST(StrictBody, HB3UnknownCodingsPassAsTheyAreWhereTheirSwitchIsOff) {
  const std::string filler(abi::kBodyBytesKept, 'x');
  const auto reason = [](const std::string& coding, const std::string& body, std::uint64_t strict) {
    return reason_of(post("application/x-protobuf\r\nContent-Encoding: " + coding, body), strict);
  };
  const std::uint64_t off = abi::kStrictDefault & ~abi::strict_bit(Strict::kBodyEncoding);
  for (const char* coding : {"snappy", "zstd", "aws-chunked", "gzip, gzip"}) {
    for (const std::string& body : {std::string("short"), filler + filler}) {
      EXPECT_EQ(reason(coding, body, abi::kStrictDefault), Reason::kBodyEncoding) << coding;
      EXPECT_EQ(reason(coding, body, off), Reason::kNone) << coding;
    }
    EXPECT_EQ(reason(coding, "attack", off), Reason::kRules) << coding;
  }
  EXPECT_EQ(reason("gzip", "no gzip", off), Reason::kBodyEncoding)
      << "inspected, so it must be right";
}

TEST(StrictBody, QueriesAreHeldToThem) {
  const auto reason = [](const std::string& target, Strict strict) {
    return reason_of("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", abi::strict_bit(strict));
  };
  EXPECT_EQ(reason("/?a=&b=&c=&d=&e=&f=attack", Strict::kArguments), Reason::kHttpArgs);
  EXPECT_EQ(reason("/?a=&b=&c=&d=&e=", Strict::kArguments), Reason::kNone);
  EXPECT_EQ(reason("/?a=1&b=2&a=3", Strict::kRepeatedArguments), Reason::kHttpArgs);
  EXPECT_EQ(reason("/?a=1&b=2&A=3", Strict::kRepeatedArguments), Reason::kNone);
}

/// A rule that only a whole value matches tells which values there are.
TEST(OtherReadings, RulesSeeWhatLenientServersRead) {
  const auto shown = [](const std::string& request) {
    const std::uint64_t on = abi::kStrictDefault, bit = abi::strict_bit(Strict::kOtherReadings);
    EXPECT_EQ(reason_of(request, on & ~bit), Reason::kNone) << request;
    return reason_of(request, on) == Reason::kRules;
  };
  const std::string json = R"( {"a":[{"b":"one; two"}],"c":)", cut = R"([1,"one; two")";
  EXPECT_TRUE(shown(post(kForm, json + "1}")));
  EXPECT_TRUE(shown(post("text/plain", json + "1}")));
  EXPECT_TRUE(shown(post("application/octet-stream", cut))) << "what comes before an error";
  EXPECT_FALSE(shown(post("text/plain", "q=one; two")));
  const auto unlabelled = [](const std::string& body) {
    return "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  };
  EXPECT_TRUE(shown(unlabelled(json + "1}")));
  EXPECT_TRUE(shown(unlabelled("p=%zz&q=one%3b+two")));
  EXPECT_FALSE(shown(unlabelled("")));
  const auto cookie = [](const std::string& field) {
    return "GET /x HTTP/1.1\r\nHost: a\r\nCookie: " + field + "\r\n\r\n";
  };
  EXPECT_TRUE(shown(cookie(R"(a=b; q="one; two")")));
  EXPECT_TRUE(shown(cookie(R"(q="\one\073 t\wo"; a=b)")));
  EXPECT_FALSE(shown(cookie("q=one; two")));
}

TEST(StrictBody, HonestBodiesPassTheDefaults) {
  for (const auto& [type, body] : std::vector<std::pair<const char*, std::string>>{
           {kJson, ""},
           {kJson, R"({"a":[1,2.5e3,null,true],"b":{"a":"\u00e9 \ud83d\ude00"}})"},
           {kXml, ""},
           {kXml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"1\"><c>x</c></a>\n"},
           {kMultipart, ""},
           {kMultipart, kPart + kEnd},
           {kMultipart, kPart + "--x--"},
           {kForm, "a=1&a=2&b=100%"},
           {"text/plain", "\xff\xfe" + wide("[Version]\r\nSignature=\"$CHICAGO$\"", 2, false)},
           {"text/plain", wide("[false]", 2, false)},
           {"text/csv", "\xff\xfe" + wide("\"Name\"\t\"City\"\r\n", 2, false)},
           {"application/grpc", std::string("\0\0\0\0{\"a", 7)},
           {"application/octet-stream", std::string("[\0[\1", 4)},
           {"text/plain", "[1, {\"a\": 1}]"}}) {
    EXPECT_EQ(reason_of(post(type, body), abi::kStrictDefault), Reason::kNone) << body;
  }
}

TEST(StrictBody, RulesComeFirstAndBodiesThatAreCutAreNotHeldToThem) {
  EXPECT_EQ(reason_of(post(kJson, R"({"a":"attack","a":1})"), abi::kStrictDefault), Reason::kRules);
  EXPECT_EQ(reason_of(post(kJson, R"({"a":1,"a":2)", 50), abi::kStrictDefault, true),
            Reason::kNone);
}

}  // namespace
}  // namespace sluice::test
