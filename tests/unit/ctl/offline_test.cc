// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/net/packet.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/publish/dataplane_side.h"

/// `sluicectl check`, `replay` and `rules test` as processes: verdicts, shapes, exit statuses.
namespace sluice {
namespace {

using nlohmann::json;
using test::Frame;
using test::PacketBuilder;

constexpr const char* kRules = R"(
SecRequestBodyAccess On
SecRule ARGS "@contains attack" "id:1001,phase:2,deny,status:406,msg:'marker',severity:CRITICAL,tag:'t/one',setvar:tx.anomaly_score=+5"
SecRule ARGS:q "@contains odd" "id:1002,phase:2,pass,msg:'odd'"
SecRule RESPONSE_HEADERS:X-Leak "@streq yes" "id:1003,phase:3,deny,status:502,msg:'leak'"
)";

class Offline : public ::testing::Test {
 protected:
  Offline() { write("rules.conf", kRules); }

  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  /// Runs sluicectl with `words`; its standard output is in output_.
  int run(const std::string& words) {
    const std::string command = "XDG_CACHE_HOME='" + path("cache") + "' '" SLUICECTL "' " + words +
                                " 2> '" + path("errors") + "'";
    FILE* pipe = ::popen(command.c_str(), "r");
    output_.clear();
    std::array<char, 4096> piece;
    for (std::size_t n = 0; (n = std::fread(piece.data(), 1, piece.size(), pipe)) != 0;) {
      output_.append(piece.data(), n);
    }
    const int status = ::pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int check(const std::string& request, const std::string& more = "") {
    write("request", request);
    return run("--json check --rules '" + path("rules.conf") + "' " + more + " '" +
               path("request") + "'");
  }
  json answer() const { return json::parse(output_, nullptr, false); }
  std::vector<json> lines() const {
    std::vector<json> result;
    std::istringstream input(output_);
    for (std::string line; std::getline(input, line);) result.push_back(json::parse(line));
    return result;
  }

  test::TempFolder folder_;
  std::string output_;
};

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n\r\n";
}

TEST_F(Offline, CheckSaysWhatTheInterfaceSays) {
  ASSERT_EQ(check(get("/a?q=an+odd+attack")), 1) << output_;
  const json result = answer();
  EXPECT_EQ(result["verdict"], "block");
  EXPECT_EQ(result["status"], 406);
  EXPECT_EQ(result["reason"], "rules");
  EXPECT_EQ(result["phase"], 2);
  EXPECT_EQ(result["scores"]["inbound"], 5);
  EXPECT_EQ(result["bytes"]["inspected"], result["bytes"]["total"]);
  EXPECT_EQ(result["exact"], true);
  EXPECT_EQ(result["method"], "GET");
  EXPECT_EQ(result["uri"], "/a?q=an+odd+attack");
  ASSERT_EQ(result["rules"].size(), 1U);
  const json& rule = result["rules"][0];
  EXPECT_EQ(rule["id"], 1001);
  EXPECT_EQ(rule["msg"], "marker");
  EXPECT_EQ(rule["severity"], "CRITICAL");
  EXPECT_EQ(rule["tags"], json::array({"t/one"}));
  EXPECT_EQ(rule["target"], "ARGS:q");
  EXPECT_EQ(rule["value"], "an odd attack");
  EXPECT_EQ(rule["score"], 5);
}

TEST_F(Offline, CheckReportsRulesThatDoNotBlock) {
  ASSERT_EQ(check(get("/a?q=odd")), 0);
  EXPECT_EQ(answer()["verdict"], "pass");
  ASSERT_EQ(answer()["rules"].size(), 1U);
  EXPECT_EQ(answer()["rules"][0]["id"], 1002);
}

TEST_F(Offline, CheckNamesFramingThatServersReadInTwoWays) {
  ASSERT_EQ(check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            1);
  EXPECT_EQ(answer()["reason"], "http_cl_and_te");
}

TEST_F(Offline, CheckJudgesEveryRequestOfAPipeline) {
  ASSERT_EQ(check(get("/a?q=odd") + get("/b?q=attack") + get("/c")), 1);
  EXPECT_EQ(answer()["uri"], "/b?q=attack");
  EXPECT_EQ(answer()["rules"].size(), 2U);
}

std::string post(const std::string& body, std::size_t length) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
         "Content-Length: " +
         std::to_string(length) + "\r\n\r\n" + body;
}

TEST_F(Offline, CheckReadsBodiesLongerThanASegment) {
  const std::string body = "a=" + std::string(10'000, 'x') + "&b=attack";
  ASSERT_EQ(check(post(body, body.size())), 1);
  EXPECT_EQ(answer()["rules"][0]["target"], "ARGS:b");
}

/// Behind more than is kept whole, at every place relative to the borders of a batch.
TEST_F(Offline, CheckReadsLongBodiesToTheirEnd) {
  const std::string much(300'000, 'x');
  for (const std::size_t more : {0, 1, 61'430, 65'530, 131'070}) {
    const std::string pad = much + std::string(more, 'y');
    for (const std::string& body : {"a=" + pad + "attack", "a=" + pad + "&b=attack&c=" + much,
                                    "a=" + pad + "attack" + much}) {
      EXPECT_EQ(check(post(body, body.size())), 1) << more;
      EXPECT_FALSE(answer()["exact"]);
    }
    EXPECT_EQ(check(post("a=" + pad + "&b=flower", pad.size() + 11)), 0) << more;
  }
}

TEST_F(Offline, CheckReadsLongBodiesOfEveryKind) {
  write("rules.conf",
        "SecRequestBodyAccess On\n"
        "SecRule REQUEST_HEADERS:Content-Type json "
        "\"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
        "SecRule REQUEST_HEADERS:Content-Type xml "
        "\"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
        "SecRule ARGS|XML:/*|REQUEST_BODY attack \"id:3,phase:2,deny\"\n");
  const std::string much(300'000, 'x');
  std::string many = "[0";
  for (int i = 0; i < 60'000; ++i) many += ",\"item " + std::to_string(i) + "\"";
  const std::string part = "--b\r\nContent-Disposition: form-data; name=";
  const struct {
    std::string type, before, after;
  } kKinds[] = {
      {"application/json", "{\"a\":\"" + much + "\",\"b\":\"", "\"}"},
      {"application/json", "{\"b\":\"" + much, "\"}"},
      {"application/json", many + ",\"", "\"]"},
      {"application/xml", "<a><b>" + much + "</b><c>", "</c></a>"},
      {"text/plain", much, ""},
      {"multipart/form-data; boundary=b",
       part + "\"f\"; filename=\"f\"\r\n\r\n" + much + "\r\n" + part + "\"g\"\r\n\r\n",
       "\r\n--b--\r\n"},
  };
  for (const auto& kind : kKinds) {
    for (const bool bad : {true, false}) {
      const std::string body = kind.before + (bad ? "attack" : "flower") + kind.after;
      EXPECT_EQ(check("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " + kind.type +
                      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body),
                bad ? 1 : 0)
          << kind.type << output_;
    }
  }
}

TEST_F(Offline, CheckJudgesWhatThereIsOfABodyThatIsCutShort) {
  ASSERT_EQ(check(post("a=attack", 100)), 1);
  EXPECT_EQ(answer()["rules"][0]["id"], 1001);
  EXPECT_EQ(check(post("a=flower", 100)), 0);
}

TEST_F(Offline, CheckRunsResponseRulesOverAResponse) {
  write("response", "HTTP/1.1 200 OK\r\nX-Leak: yes\r\nContent-Length: 2\r\n\r\nab");
  ASSERT_EQ(check(get("/"), "--response '" + path("response") + "'"), 1);
  EXPECT_EQ(answer()["phase"], 3);
  EXPECT_EQ(answer()["status"], 502);
  ASSERT_EQ(check(get("/")), 0);
}

TEST_F(Offline, CheckTakesAnAddressAndRefusesOthers) {
  write("rules.conf", "SecRule REMOTE_ADDR \"@ipMatch 10.1.0.0/16\" \"id:1,phase:1,deny\"\n");
  EXPECT_EQ(check(get("/"), "--client 10.1.2.3"), 1);
  EXPECT_EQ(check(get("/"), "--client 2001:db8::7"), 0);
  EXPECT_EQ(check(get("/"), "--client nowhere"), 2);
}

TEST_F(Offline, CheckSendsToTheServiceThatNamesTheHost) {
  write("policy.yaml",
        "mode: block\nrules: { include: [" + path("rules.conf") +
            "] }\nservices:\n"
            "  - { name: one, addresses: [10.0.0.1], ports: [80], hosts: [a.example], "
            "mode: monitor }\n"
            "  - { name: two, addresses: [10.0.0.1], ports: [80], hosts: [b.example] }\n");
  const auto judge = [&](const std::string& host) {
    write("request", "GET /?q=attack HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    run("--json check --policy '" + path("policy.yaml") + "' '" + path("request") + "'");
    return answer().value("verdict", output_);
  };
  EXPECT_EQ(judge("a.example"), "monitor");
  EXPECT_EQ(judge("b.example"), "block");
}

TEST_F(Offline, BatchAnswersEveryLine) {
  const std::string attack = "R0VUIC8/cT1hdHRhY2sgSFRUUC8xLjENCkhvc3Q6IGENCg0K";
  const std::string honest = "R0VUIC8/cT1mbG93ZXIgSFRUUC8xLjENCkhvc3Q6IGENCg0K";
  write("batch", R"({"id":"a","request_b64":")" + attack + "\"}\n\n" +
                     R"({"id":2,"request_b64":")" + honest + R"(","client":"10.0.0.1"})" + "\n");
  const std::string command = "check --batch --rules '" + path("rules.conf") + "' ";
  ASSERT_EQ(run(command + "- < '" + path("batch") + "'"), 0);
  ASSERT_EQ(lines().size(), 2U) << output_;
  EXPECT_EQ(lines()[0]["id"], "a");
  EXPECT_EQ(lines()[0]["verdict"], "block");
  EXPECT_EQ(lines()[1]["id"], 2);
  EXPECT_EQ(lines()[1]["verdict"], "pass");
  write("batch", "{\"id\":1,\"request_b64\":\"%%%\"}\nnot json\n");
  EXPECT_EQ(run(command + "'" + path("batch") + "'"), 1);
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_EQ(lines()[0]["id"], 1);
  EXPECT_TRUE(lines()[0].contains("error"));
}

TEST_F(Offline, WrongRulesAreNamedWithTheirPlaces) {
  write("rules.conf", "SecRule ARGS \"@nonsense x\" \"id:1\"\nSecRule ARGS \"@rx (\" \"id:2\"\n");
  ASSERT_EQ(check(get("/")), 3);
  ASSERT_GE(answer()["errors"].size(), 2U);
  EXPECT_EQ(answer()["errors"][0]["line"], 1);
  EXPECT_EQ(answer()["errors"][1]["line"], 2);
}

TEST_F(Offline, RulesTestShowsWhatFires) {
  write("request", get("/?q=odd"));
  ASSERT_EQ(
      run("--json rules test '" + path("rules.conf") + "' --request '" + path("request") + "'"), 0);
  EXPECT_EQ(answer()["rules"], 3);
  EXPECT_EQ(answer()["request"]["rules"][0]["id"], 1002);
}

/// What was found, not only the value that it is in: also of a chain that goes on with what is not.
TEST_F(Offline, RulesTestShowsTheBytesThatMatched) {
  write("chain.conf",
        "SecRuleEngine On\n"
        "SecRule ARGS \"@rx b.d\" \"id:7,phase:2,deny,chain\"\n"
        "  SecRule MATCHED_VARS \"!@rx zz\" \"t:none\"\n");
  write("request", get("/?q=aaabcdeee"));
  const std::string command =
      "rules test '" + path("chain.conf") + "' --request '" + path("request") + "'";
  ASSERT_EQ(run("--json " + command), 0);
  EXPECT_EQ(answer()["request"]["rules"][0]["matched"], "bcd");
  ASSERT_EQ(run(command), 0);
  EXPECT_NE(output_.find("matched: bcd\n"), std::string::npos) << output_;
}

TEST_F(Offline, RulesCostMeasuresEachRuleOverRequests) {
  // GET /?q=odd and GET /, as base64.
  write("lines",
        "{\"request_b64\":\"R0VUIC8/cT1vZGQgSFRUUC8xLjENCkhvc3Q6IHgNCg0K\"}\n"
        "{\"request_b64\":\"R0VUIC8gSFRUUC8xLjENCkhvc3Q6IHgNCg0K\"}\n");
  const std::string command = "--json rules cost --rules '" + path("rules.conf") + "' '";
  ASSERT_EQ(run(command + path("lines") + "'"), 0);
  EXPECT_EQ(answer()["requests"], 2);
  EXPECT_GT(answer()["ns_per_request"], answer()["rules_ns_per_request"]);
  bool found = false;
  const json costs = answer();
  for (const json& rule : costs["rules"]) {
    if (rule["id"] != 1002) continue;
    found = true;
    EXPECT_EQ(rule["matches"], 1);
    EXPECT_GT(rule["ns"], 0);
  }
  EXPECT_TRUE(found);
  write("lines", "{\"request_b64\":\"%%%\"}\n");
  EXPECT_EQ(run(command + path("lines") + "'"), 2);
}

/// A capture of one connection: handshake, a request in two segments, a response.
class Capture {
 public:
  void add(const PacketBuilder& packet) {
    const Frame frame = packet.build();
    put(seconds_++, 4);
    put(0, 4);
    put(frame.size(), 4);
    put(frame.size(), 4);
    bytes_.append(frame.begin(), frame.end());
  }
  static std::string header() {
    Capture file;
    for (const auto& [value, size] :
         {std::pair{0xa1b2c3d4U, 4}, {2U, 2}, {4U, 2}, {0U, 8}, {65535U, 4}, {1U, 4}}) {
      file.put(value, size);
    }
    return file.bytes_;
  }
  [[nodiscard]] std::string bytes() const { return header() + bytes_; }

 private:
  void put(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  std::string bytes_;
  std::uint32_t seconds_ = 1'700'000'000;
};

std::string capture_of(const std::string& request, bool to_high_port) {
  const unsigned server_port = to_high_port ? 50000 : 80, client_port = 40000;
  const auto client = [&] {
    return PacketBuilder().from("192.0.2.1", client_port).to("198.51.100.2", server_port);
  };
  const auto server = [&] {
    return PacketBuilder().from("198.51.100.2", server_port).to("192.0.2.1", client_port);
  };
  const auto half = static_cast<std::uint32_t>(request.size() / 2);
  const auto whole = static_cast<std::uint32_t>(request.size());
  Capture capture;
  capture.add(client().tcp(100, 0, net::kSyn));
  capture.add(server().tcp(500, 101, net::kSyn | net::kAck));
  capture.add(client().tcp(101, 501, net::kAck));
  capture.add(client().tcp(101, 501, 0x18).data(request.substr(0, half)));
  capture.add(client().tcp(101 + half, 501, 0x18).data(request.substr(half)));
  capture.add(server().tcp(501, 101 + whole, 0x18).data("HTTP/1.1 204 No Content\r\n\r\n"));
  return capture.bytes();
}

TEST_F(Offline, ReplayGivesAVerdictForEachTransaction) {
  for (const bool to_high_port : {false, true}) {
    write("capture", capture_of(get("/?q=attack"), to_high_port));
    ASSERT_EQ(run("--json replay --rules '" + path("rules.conf") + "' '" + path("capture") + "'"),
              1)
        << output_;
    ASSERT_EQ(lines().size(), 1U) << output_;
    EXPECT_EQ(lines()[0]["verdict"], "block");
    EXPECT_EQ(lines()[0]["rules"][0]["id"], 1001);
    write("capture", capture_of(get("/?q=flower"), to_high_port));
    ASSERT_EQ(run("--json replay --rules '" + path("rules.conf") + "' '" + path("capture") + "'"),
              0);
    ASSERT_EQ(lines().size(), 1U) << output_;
    EXPECT_EQ(lines()[0]["status"], 204);
  }
}

TEST_F(Offline, ReplayLeavesOtherServersAloneUnderAPolicy) {
  write("policy.yaml",
        "mode: block\nrules: { include: [" + path("rules.conf") +
            "] }\nservices:\n  - { name: one, addresses: [10.0.0.1], ports: [80] }\n");
  write("capture", capture_of(get("/?q=attack"), false));
  EXPECT_EQ(run("--json replay --policy '" + path("policy.yaml") + "' '" + path("capture") + "'"),
            0);
  EXPECT_EQ(output_, "");
  write("capture", "no capture");
  EXPECT_EQ(run("replay '" + path("capture") + "'"), 2);
}

}  // namespace
}  // namespace sluice
