// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/persistent.h"

#include <gtest/gtest.h>

#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::rules::test {
namespace {

using Ids = std::vector<std::uint32_t>;

constexpr std::uint64_t kSecond = base::kNanosPerSecond;

std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a.example\r\n" + headers + "\r\n";
}

/// Rules with a table of collections, request after request.
class Requests {
 public:
  explicit Requests(const std::string& rules)
      : loaded_(load_text(rules)), memory_(16), table_(memory_.span()) {
    EXPECT_NE(loaded_.ruleset, nullptr) << (loaded_.errors.empty() ? "" : loaded_.errors[0]);
    judge = std::make_unique<Judge>(*loaded_.ruleset, &table_);
  }
  Ids ids(const std::string& request) { return judge->run(request).ids; }
  void wait(std::uint64_t seconds) {
    judge->info.monotonic_ns += seconds * kSecond;
    judge->info.wall_ns += seconds * kSecond;
  }
  void from(const char* client) { judge->info.client = *base::IpAddress::parse(client); }

  std::unique_ptr<Judge> judge;

 private:
  LoadedRules loaded_;
  CollectionMemory memory_;
  CollectionTable table_;
};

constexpr const char* kInit = "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR}\"\n";

TEST(Persistent, CountsRequestsOfEachClient) {
  Requests requests(
      std::string(kInit) +
      "SecAction \"id:2,phase:1,nolog,pass,setvar:ip.count=+1,expirevar:ip.count=60\"\n"
      "SecRule IP:count \"@gt 3\" \"id:3,phase:1,deny,status:429,log\"\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(requests.ids(get("/")), Ids{}) << i;
  const Judged fourth = requests.judge->run(get("/"));
  EXPECT_EQ(fourth.ids, Ids{3});
  EXPECT_EQ(fourth.verdict.status, 429);
  EXPECT_EQ(fourth.targets[0], "IP:count");
  EXPECT_EQ(fourth.values[0], "4");
  requests.from("192.0.2.9");
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  requests.from("192.0.2.1");
  requests.wait(59);
  EXPECT_EQ(requests.ids(get("/")), Ids{3});
  requests.wait(60);
  EXPECT_EQ(requests.ids(get("/")), Ids{});
}

/// ModSecurity 3 would count all clients under one key here.
TEST(Persistent, TheKeyOfTheSameRuleIsUsedByItsSetvar) {
  Requests requests(
      "SecAction \"id:2,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.count=+1\"\n"
      "SecRule IP:count \"@gt 1\" \"id:3,phase:1,pass,log\"\n");
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  requests.from("192.0.2.9");
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  EXPECT_EQ(requests.ids(get("/")), Ids{3});
}

TEST(Persistent, MembersAreReadByNamePatternCountAndMacro) {
  Requests requests(
      std::string(kInit) +
      "SecRule ARGS_NAMES \"@rx ^set_(\\w+)$\" "
      "\"id:2,phase:1,nolog,pass,capture,setvar:ip.%{tx.1}=%{ARGS.value}\"\n"
      "SecRule ARGS_NAMES \"@rx ^drop_(\\w+)$\" \"id:3,phase:1,nolog,pass,capture,"
      "setvar:!ip.%{tx.1}\"\n"
      "SecRule IP:alpha \"@streq yes\" \"id:10,phase:1,pass,log\"\n"
      "SecRule IP:/^al/ \"@streq yes\" \"id:11,phase:1,pass,log\"\n"
      "SecRule IP \"@streq yes\" \"id:12,phase:1,pass,log\"\n"
      "SecRule &IP:alpha \"@eq 1\" \"id:13,phase:1,pass,log\"\n"
      "SecRule &IP \"@eq 2\" \"id:14,phase:1,pass,log\"\n"
      "SecRule IP|!IP:alpha \"@streq yes\" \"id:15,phase:1,pass,log\"\n"
      "SecRule REQUEST_METHOD \"@unconditionalMatch\" \"id:16,phase:1,pass,log,chain\"\n"
      "SecRule ARGS:want \"@streq %{ip.alpha}\" \"t:none\"\n");
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  EXPECT_EQ(requests.ids(get("/?set_alpha=1&value=yes")), (Ids{10, 11, 12, 13}));
  EXPECT_EQ(requests.ids(get("/?want=yes")), (Ids{10, 11, 12, 13, 16}));
  EXPECT_EQ(requests.ids(get("/?set_beta=1&value=yes")), (Ids{10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(requests.ids(get("/?drop_ALPHA=1")), (Ids{12, 15}));
}

/// The hash of the CRS in the key of IP: made when the collection is first used, in whatever rule.
TEST(Persistent, KeysThatWaitAreThoseOfTheirRules) {
  const std::string init =
      "SecRule REQUEST_HEADERS:User-Agent \"@rx ^.*$\" "
      "\"id:1,phase:1,pass,nolog,t:none,t:sha1,t:hexEncode,setvar:tx.hash=%{MATCHED_VAR}\"\n"
      "SecAction \"id:2,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}_%{tx.hash}\"\n";
  Requests requests(
      init +
      "SecRule ARGS:n \"@rx ^[0-9]$\" \"id:3,phase:2,pass,log,setvar:ip.%{MATCHED_VAR}=+1,"
      "setvar:ip.last=%{MATCHED_VAR},setvar:tx.key=%{ip.key}\"\n"
      "SecRule IP:last \"@streq 7\" \"id:4,phase:2,pass,log\"\n"
      "SecRule IP:7 \"@ge 2\" \"id:5,phase:2,pass,log\"\n");
  requests.judge->tx_names = {"key", "hash"};
  const Judged first = requests.judge->run(get("/?n=7", "User-Agent: a\r\n"));
  EXPECT_EQ(first.ids, (Ids{3, 4}));
  EXPECT_EQ(first.values[0], "7") << "the rule that asks keeps its own match";
  // printf a | sha1sum
  const std::string hash = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
  EXPECT_EQ(first.tx[1], hash);
  EXPECT_EQ(first.tx[0], "192.0.2.1_" + hash);
  EXPECT_EQ(requests.ids(get("/?n=7", "User-Agent: b\r\n")), (Ids{3, 4}));
  EXPECT_EQ(requests.ids(get("/?n=7", "User-Agent: a\r\n")), (Ids{3, 4, 5}));
  EXPECT_EQ(requests.ids(get("/?n=7")), (Ids{3, 4}));
}

TEST(Persistent, CollectionsAndApplicationsAreApart) {
  const std::string rules =
      "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=k,initcol:global=k,setsid:k,setuid:k,"
      "setrsc:k\"\n"
      "SecRule ARGS:set \"@streq 1\" \"id:2,phase:1,nolog,pass,setvar:session.x=1\"\n"
      "SecRule IP:x|GLOBAL:x|USER:x|RESOURCE:x \"@eq 1\" \"id:3,phase:1,pass,log\"\n"
      "SecRule SESSION:x \"@eq 1\" \"id:4,phase:1,pass,log\"\n"
      "SecRule SESSIONID|USERID \"@streq k\" \"id:5,phase:1,pass,log\"\n";
  Requests requests(rules);
  EXPECT_EQ(requests.ids(get("/?set=1")), (Ids{4, 5}));
  EXPECT_EQ(requests.ids(get("/")), (Ids{4, 5}));

  CollectionMemory memory(16);
  const CollectionTable table(memory.span());
  const LoadedRules one = load_text(rules), other = load_text("SecWebAppId other\n" + rules);
  EXPECT_EQ(Judge(*one.ruleset, &table).run(get("/?set=1")).ids, (Ids{4, 5}));
  EXPECT_EQ(Judge(*one.ruleset, &table).run(get("/")).ids, (Ids{4, 5}));
  EXPECT_EQ(Judge(*other.ruleset, &table).run(get("/")).ids, Ids{5});
}

TEST(Persistent, ValuesSurviveANewRuleset) {
  CollectionMemory memory(16);
  const LoadedRules one =
      load_text(std::string(kInit) + "SecAction \"id:2,phase:1,nolog,pass,setvar:ip.n=+1\"\n");
  const LoadedRules two =
      load_text(std::string(kInit) + "SecRule IP:n \"@eq 2\" \"id:3,phase:1,pass,log\"\n");
  const LoadedRules other_application =
      load_text("SecWebAppId x\n" + std::string(kInit) +
                "SecRule IP:n \"@ge 0\" \"id:3,phase:1,pass,log\"\n");
  {
    const CollectionTable table(memory.span());
    Judge judge(*one.ruleset, &table);
    (void)judge.run(get("/"));
    (void)judge.run(get("/"));
  }
  const CollectionTable table(memory.span());
  EXPECT_EQ(Judge(*two.ruleset, &table).run(get("/")).ids, Ids{3});
  EXPECT_EQ(Judge(*other_application.ruleset, &table).run(get("/")).ids, Ids{});
}

TEST(Persistent, AStagedGenerationCountsForItself) {
  Requests requests(std::string(kInit) +
                    "SecAction \"id:2,phase:1,nolog,pass,setvar:ip.n=+1\"\n"
                    "SecRule IP:n \"@gt 1\" \"id:3,phase:1,pass,log\"\n");
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  requests.judge->info.staged = true;
  EXPECT_EQ(requests.ids(get("/")), Ids{});
  requests.judge->info.staged = false;
  EXPECT_EQ(requests.ids(get("/")), Ids{3});
}

TEST(Persistent, BuiltInMembersSayHowOldACollectionIs) {
  Requests requests(
      "SecCollectionTimeout 600\n" + std::string(kInit) +
      "SecRule IP:KEY \"@streq 192.0.2.1\" \"id:10,phase:1,pass,log\"\n"
      "SecRule IP:IS_NEW \"@eq 1\" \"id:11,phase:1,pass,log\"\n"
      "SecRule IP:TIMEOUT \"@eq 600\" \"id:12,phase:1,pass,log\"\n"
      "SecRule IP:UPDATE_COUNTER \"@eq 2\" \"id:13,phase:1,pass,log\"\n"
      "SecRule IP:create_time \"@eq 1700000000\" \"id:14,phase:1,pass,log\"\n"
      "SecRule IP:LAST_UPDATE_TIME \"@eq 1700000100\" \"id:15,phase:1,pass,log\"\n"
      "SecRule ARGS:set \"@streq 1\" \"id:16,phase:1,nolog,pass,setvar:ip.x=+1,setvar:ip.y=+1\"\n"
      "SecRule IP:IS_NEW \"@eq 1\" \"id:17,phase:1,pass,log\"\n"
      "SecRule &IP:KEY \"@eq 1\" \"id:18,phase:1,pass,log\"\n"
      "SecRule IP \"@streq 192.0.2.1\" \"id:19,phase:1,pass,log\"\n");
  EXPECT_EQ(requests.ids(get("/?set=1")), (Ids{10, 11, 12, 14, 17, 18}));
  requests.wait(100);
  EXPECT_EQ(requests.ids(get("/?set=1")), (Ids{10, 12, 14, 18}));
  EXPECT_EQ(requests.ids(get("/")), (Ids{10, 12, 13, 14, 15, 18}));
  requests.wait(601);
  EXPECT_EQ(requests.ids(get("/")), (Ids{10, 11, 12, 17, 18}));
}

TEST(Persistent, ACollectionWithoutRoomFailsClosed) {
  Requests requests(std::string(kInit) +
                    "SecRule ARGS_NAMES \"@rx .\" \"id:2,phase:1,nolog,pass,"
                    "setvar:ip.seen_%{MATCHED_VAR}=1\"\n");
  EXPECT_EQ(requests.judge->run(get("/?a=1")).verdict.action, abi::Action::kPass);
  const Judged judged = requests.judge->run(get("/?" + std::string(200, 'n') + "=1"));
  EXPECT_EQ(judged.verdict.action, abi::Action::kBlock);
  EXPECT_EQ(judged.verdict.reason, abi::Reason::kCollectionFull);
  EXPECT_EQ(judged.limits, std::vector<abi::Reason>{abi::Reason::kCollectionFull});
}

/// A body that is judged in batches counts the request once, and each of its values once.
TEST(Persistent, ALongBodyCountsOnce) {
  Requests requests(std::string(kInit) +
                    "SecAction \"id:2,phase:2,nolog,pass,setvar:ip.requests=+1\"\n"
                    "SecRule ARGS \"@rx ^bad\" \"id:3,phase:2,nolog,pass,setvar:ip.bad=+1\"\n"
                    "SecRule ARGS:last \"@rx .\" \"id:4,phase:2,pass,log\"\n"
                    "SecRule IP:requests \"@gt 1\" \"id:5,phase:3,pass,log\"\n"
                    "SecRule IP:bad \"!@eq 3\" \"id:6,phase:3,pass,log\"\n"
                    "SecRule IP:bad \"@eq 3\" \"id:7,phase:3,pass,log\"\n");
  std::string body = "a=bad1";
  for (int i = 0; i < 40; ++i) body += "&filler" + std::to_string(i) + "=" + std::string(9000, 'x');
  body += "&b=bad2&c=bad3";
  ASSERT_GT(body.size(), abi::kBodyBytesKept);
  const Judged judged = requests.judge->run(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body,
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(judged.exact);
  EXPECT_EQ(judged.ids, Ids{7});
}

TEST(Persistent, WithoutATableCollectionsStayEmpty) {
  const LoadedRules loaded =
      load_text(std::string(kInit) +
                "SecAction \"id:2,phase:1,nolog,pass,setvar:ip.n=+1\"\n"
                "SecRule &IP:n|&IP:KEY \"@gt 0\" \"id:3,phase:1,pass,log\"\n");
  EXPECT_EQ(Judge(*loaded.ruleset).run(get("/")).ids, Ids{});
}

}  // namespace
}  // namespace sluice::rules::test
