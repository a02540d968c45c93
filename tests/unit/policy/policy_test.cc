// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/policy/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "controlplane/policy/reader.h"
#include "dataplane/abi/policy_view.h"
#include "dataplane/limit/keys.h"

namespace sluice::policy {
namespace {

/// The example of interface.md.
constexpr const char* kWhole = R"(mode: block
rules: { include: [/usr/share/sluice/signatures/*.conf, rules.d/*.conf] }
inspect: { value_bytes: 64KiB, midstream: pass, unknown_frames: drop, strict: {} }
services:
  - name: orders
    addresses: [10.10.0.2, "fd00:10::/64"]
    ports: [80, 8080]
    hosts: [Orders.Internal.]
    mode: monitor
    upgrades: [websocket]
    client_address: { header: X-Forwarded-For, trusted: [10.10.0.0/24], position: first }
    limits:
      - { name: per-client, key: [client_address], prefix: { ipv4: 24, ipv6: 64 }, rate: 100/s, burst: 50, action: block, on_full: deny }
      - { name: writes, key: ["header:X-Api-Key", route], rate: 600/min, burst: 20, action: monitor, on_full: allow }
    routes: [{ name: one-order, method: GET, path: "/orders/*" }]
)";

Policy parse(const std::string& text, config::Diagnostics& diagnostics) {
  return parse_text("/etc/sluice/policy.yaml", text, diagnostics);
}

std::string complaints(const std::string& text) {
  config::Diagnostics diagnostics;
  parse(text, diagnostics);
  std::string all;
  for (const config::Diagnostic& error : diagnostics.errors) {
    all += std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message +
           "\n";
  }
  return all;
}

/// A service with these further lines, indented by four.
std::string service(const std::string& lines) {
  return "services:\n  - name: a\n    addresses: [10.0.0.1]\n    ports: [80]\n" + lines;
}

TEST(Policy, ReadsEveryKeyOfTheInterface) {
  config::Diagnostics diagnostics;
  const Policy policy = parse(kWhole, diagnostics);
  EXPECT_EQ(complaints(kWhole), "");
  EXPECT_EQ(policy.mode, abi::Mode::kBlock);
  EXPECT_EQ(policy.rules, (std::vector<std::string>{"/usr/share/sluice/signatures/*.conf",
                                                    "/etc/sluice/rules.d/*.conf"}));
  EXPECT_EQ(policy.value_bytes, 65536U);
  EXPECT_EQ(policy.midstream, abi::Midstream::kPass);
  EXPECT_EQ(policy.unknown_frames, abi::UnknownFrames::kDrop);
  ASSERT_EQ(policy.services.size(), 1U);
  const Service& orders = policy.services[0];
  EXPECT_EQ(orders.name, "orders");
  ASSERT_EQ(orders.addresses.size(), 2U);
  EXPECT_EQ(orders.addresses[0].to_string(), base::IpPrefix::parse("10.10.0.2")->to_string());
  EXPECT_EQ(orders.ports, (std::vector<std::uint16_t>{80, 8080}));
  EXPECT_EQ(orders.hosts, (std::vector<std::string>{"orders.internal"}));
  EXPECT_EQ(orders.mode, abi::Mode::kMonitor);
  EXPECT_TRUE(orders.allow_websocket);
  EXPECT_EQ(orders.client_address_header, "x-forwarded-for");
  EXPECT_EQ(orders.client_address_position, abi::ClientAddressPosition::kFirst);
  ASSERT_EQ(orders.limits.size(), 2U);
  EXPECT_EQ(orders.limits[0].interval_ns, 10'000'000U);
  EXPECT_EQ(orders.limits[0].burst, 50U);
  EXPECT_EQ(orders.limits[0].prefix_v4, 24);
  EXPECT_EQ(orders.limits[1].interval_ns, 100'000'000U);
  EXPECT_EQ(orders.limits[1].key[0].name, "x-api-key");
  EXPECT_EQ(orders.limits[1].key[1].part, abi::LimitKeyPart::kRoute);
  EXPECT_EQ(orders.limits[1].action, abi::Mode::kMonitor);
  EXPECT_EQ(orders.limits[1].on_full, abi::OnFull::kAllow);
  EXPECT_EQ(orders.routes[0].path, "/orders/*");
  EXPECT_EQ(orders.inspection.strict, abi::kStrictDefault);
}

TEST(Policy, AnEmptyPolicyHasDefaults) {
  config::Diagnostics diagnostics;
  const Policy policy = parse("", diagnostics);
  EXPECT_TRUE(diagnostics.ok());
  EXPECT_EQ(policy.mode, abi::Mode::kBlock);
  EXPECT_EQ(policy.midstream, abi::Midstream::kReset);
  EXPECT_TRUE(policy.services.empty());
}

TEST(Policy, AllErrorsComeAtOnceWithTheirPlaces) {
  EXPECT_EQ(complaints("mod: block\nmode: blok\nservices:\n  - name: a\n    adresses: [10.0.0.1]\n"
                       "    ports: [99999]\n"),
            "1:1: unknown key mod in the policy (did you mean mode?)\n"
            "2:7: mode wants off, monitor or block\n"
            "5:5: unknown key adresses in a service (did you mean addresses?)\n"
            "6:13: a port wants a number from 1 to 65535\n"
            "4:5: a service wants addresses: where its servers are\n");
}

TEST(Policy, BrokenYamlNamesItsPlace) {
  EXPECT_EQ(complaints("mode: block\nservices: [\n").substr(0, 2), "3:");
}

TEST(Policy, QuantitiesNeedTheirUnits) {
  EXPECT_EQ(complaints("inspect: { value_bytes: 65536 }"),
            "1:25: value_bytes: expected a size with its unit, such as 512B, 64KiB or 1MiB\n");
  EXPECT_EQ(complaints("inspect: { reply_wait_ms: 5 }"),
            "1:27: reply_wait_ms: expected a duration with its unit, such as 250ms, 10s, 5min or "
            "2h\n");
  EXPECT_EQ(complaints("inspect: { value_bytes: 2MiB }"),
            "1:25: value_bytes wants 1024B to 1048576B\n");
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: service, rate: 100 }]\n")),
            "5:45: rate: expected a rate such as 100/s, 600/min, 5/h or 20/10s\n");
}

TEST(Policy, ALimitOnAnUnknownKeyIsNamed) {
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: [client_adress], rate: 1/s }]\n")),
            "5:31: unknown key part 'client_adress' (did you mean client_address?): expected "
            "client_address, header:NAME, cookie:NAME, route or service\n");
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: [header], rate: 1/s }]\n")),
            "5:31: expected header:NAME\n");
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: [route, route], rate: 1/s }]\n")),
            "5:38: 'route' stands twice in this key\n");
}

TEST(Policy, ARouteThatNoRequestReachesIsRefused) {
  const auto routes = [](const std::string& list) {
    return complaints(service("    routes:\n" + list));
  };
  EXPECT_EQ(routes("      - { name: all, path: /api }\n"
                   "      - { name: item, method: GET, path: /api/items/* }\n"),
            "7:9: no request reaches this route: all (line 6) fits all of its requests first (put "
            "it before that one, or remove it)\n");
  EXPECT_EQ(routes("      - { method: GET, path: /a/* }\n      - { method: GET, path: /a/* }\n"),
            "7:9: no request reaches this route: /a/* (line 6) fits all of its requests first (put "
            "it before that one, or remove it)\n");
  // Something is left to each of these.
  EXPECT_EQ(routes("      - { method: GET, path: /api }\n      - { path: /api }\n"
                   "      - { path: /b/* }\n      - { path: /b }\n      - { path: /c/d }\n"
                   "      - { path: /c/* }\n      - { path: /c/** }\n"),
            "");
  EXPECT_EQ(routes("      - { path: \"/a/b*\" }\n      - { path: \"/a/**/b\" }\n"),
            "6:17: no request has this path: * stands for a whole segment, and ** only at the "
            "end\n"
            "7:17: no request has this path: * stands for a whole segment, and ** only at the "
            "end\n");
}

/// Every pattern and path of up to three segments out of few names: what covers is what matches.
TEST(Policy, ARouteCoversAnotherIfItMatchesAllItsPaths) {
  std::vector<std::string> patterns{"/"}, paths{"/"};
  for (std::size_t depth = 0, begin = 0; depth < 3; ++depth) {
    const std::size_t end = patterns.size();
    for (std::size_t i = begin; i < end; ++i) {
      if (patterns[i].ends_with("**")) continue;
      const std::string base = patterns[i] == "/" ? "" : patterns[i];
      for (const char* segment : {"/a", "/b", "/*", "/**"}) patterns.push_back(base + segment);
    }
    begin = end;
  }
  for (std::size_t i = 0; i < 1 + 3 + 9 + 27; ++i) {
    for (const char* segment : {"/a", "/b", "/c"}) {
      paths.push_back((paths[i] == "/" ? "" : paths[i]) + segment);
    }
  }
  for (const std::string& earlier : patterns) {
    for (const std::string& later : patterns) {
      const bool all = std::all_of(paths.begin(), paths.end(), [&](const std::string& path) {
        return !limit::route_matches(later, path) || limit::route_matches(earlier, path);
      });
      EXPECT_EQ(pattern_covers(earlier, later), all) << earlier << " before " << later;
    }
  }
}

TEST(Policy, LimitsThatCannotWorkAreRefused) {
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: route, rate: 1/s, prefix: { ipv4: 24 "
                               "} }]\n")),
            "5:56: prefix has no meaning without client_address in the key\n");
  EXPECT_EQ(complaints(service("    limits: [{ name: x, key: route, rate: 1/d, burst: 400 }]\n")),
            "5:55: the burst takes longer than a year to come back at this rate\n");
  EXPECT_EQ(complaints(service("    limits: [{ key: route }]\n")),
            "5:14: a limit has no name (expected name: ...)\n"
            "5:14: the limit has no rate (expected rate: 100/s)\n");
}

TEST(Policy, OverlappingServicesAreRefused) {
  const std::string two =
      "services:\n"
      "  - { name: a, addresses: [10.0.0.0/24], ports: [80] }\n"
      "  - { name: b, addresses: [10.0.0.7], ports: [443, 80]";
  EXPECT_EQ(complaints(two + " }\n"), "3:5: the services a (line 2) and b overlap: both take " +
                                          base::IpPrefix::parse("10.0.0.7")->to_string() +
                                          " port 80, every host\n");
  EXPECT_EQ(complaints(two + ", hosts: [b.test] }\n"), "");
  EXPECT_EQ(complaints("services:\n"
                       "  - { name: a, addresses: [::1], ports: [80], hosts: [x.test, y.test] }\n"
                       "  - { name: a, addresses: [::1], ports: [80], hosts: [Y.TEST] }\n"),
            "3:5: another service is named a (line 2)\n"
            "3:5: the services a (line 2) and a overlap: both take " +
                base::IpPrefix::parse("::1")->to_string() + " port 80, y.test\n");
}

TEST(Policy, StrictSwitchesGoFromThePolicyToItsServices) {
  config::Diagnostics diagnostics;
  const Policy policy =
      parse("inspect: { strict: { path_nul: off, body_sniff: on } }\n" +
                service("    inspect: { strict: { path_nul: on }, head_timeout_ms: 3s }\n"),
            diagnostics);
  ASSERT_TRUE(diagnostics.ok());
  const std::uint64_t expected = abi::kStrictDefault | abi::strict_bit(abi::Strict::kBodySniff);
  EXPECT_TRUE(abi::is_strict(abi::kStrictDefault, abi::Strict::kPathNul));
  EXPECT_EQ(policy.services[0].inspection.strict, expected);
  EXPECT_EQ(policy.services[0].inspection.head_timeout_ms, 3000U);
  EXPECT_EQ(complaints("inspect: { strict: { path_nil: on, range: maybe } }"),
            "1:22: unknown key path_nil in strict (did you mean path_nul?)\n"
            "1:43: strict.range wants on or off\n");
}

TEST(Policy, AClientAddressNeedsItsProxies) {
  EXPECT_EQ(complaints(service("    client_address: { header: x-real-ip }\n")),
            "5:21: client_address wants trusted: the proxies that may set the header (else every "
            "client could)\n");
}

TEST(Policy, HostsCarryNoPort) {
  EXPECT_EQ(complaints(service("    hosts: [\"a.test:80\"]\n")),
            "5:13: expected the name of a host without a port, got 'a.test:80'\n");
  EXPECT_EQ(complaints(service("    hosts: [\"[::1]\"]\n")), "");
}

/// Puts an encoded policy where an image has it, so that the dataplane's reader can check it.
std::vector<std::uint64_t> image_of(const Policy& policy) {
  constexpr std::uint64_t kOffset = (sizeof(abi::ImageHeader) + 63) / 64 * 64;
  compile::StringsBuilder strings;
  const std::vector<std::uint8_t> section = encode_policy(policy, kOffset, strings);
  abi::ImageHeader header{};
  header.section_count = 2;
  header.sections[0] = {static_cast<std::uint32_t>(abi::SectionType::kPolicy), 0, kOffset,
                        section.size()};
  header.sections[1] = {static_cast<std::uint32_t>(abi::SectionType::kStrings), 0,
                        kOffset + section.size(), strings.bytes().size()};
  std::vector<std::uint64_t> image((kOffset + section.size() + strings.bytes().size()) / 8 + 1);
  auto* bytes = reinterpret_cast<std::uint8_t*>(image.data());
  std::memcpy(bytes, &header, sizeof header);
  std::memcpy(bytes + kOffset, section.data(), section.size());
  std::memcpy(bytes + kOffset + section.size(), strings.bytes().data(), strings.bytes().size());
  return image;
}

TEST(PolicyEncoding, TheDataplaneReadsWhatWasWritten) {
  config::Diagnostics diagnostics;
  const auto image = image_of(parse(kWhole, diagnostics));
  const abi::PolicyView view(
      {reinterpret_cast<const std::uint8_t*>(image.data()), image.size() * 8});
  ASSERT_TRUE(view.valid());
  EXPECT_EQ(view.header().limit_count, 2U);
  ASSERT_EQ(view.services().size(), 1U);
  const abi::PolicyService& orders = view.services()[0];
  EXPECT_EQ(view.text(orders.name), "orders");
  EXPECT_EQ(view.items<std::uint16_t>(orders.ports)[1], 8080);
  EXPECT_EQ(view.items<abi::PolicyPrefix>(orders.addresses)[0].prefix_bits, 128);
  EXPECT_EQ(view.items<abi::PolicyPrefix>(orders.addresses)[1].prefix_bits, 64);
  EXPECT_EQ(view.items<abi::PolicyPrefix>(orders.trusted)[0].prefix_bits, 120);
  EXPECT_EQ(view.text(view.items<abi::StringRef>(orders.hosts)[0]), "orders.internal");
  const auto limits = view.items<abi::PolicyLimit>(orders.limits);
  EXPECT_EQ(limits[0].burst_ns, 500'000'000U);
  EXPECT_EQ(limits[1].limit_id, 1U);
  EXPECT_EQ(view.text(limits[1].keys[0].name), "x-api-key");
  EXPECT_EQ(view.text(view.items<abi::PolicyRoute>(orders.routes)[0].method), "GET");
  EXPECT_EQ(orders.allow_websocket, 1);
}

TEST(PolicyEncoding, AChangedRateKeepsALimitsIdentity) {
  const auto identity = [](const std::string& limit) {
    config::Diagnostics diagnostics;
    const auto image = image_of(parse(service("    limits: [{ " + limit + " }]\n"), diagnostics));
    EXPECT_TRUE(diagnostics.ok());
    const abi::PolicyView view(
        {reinterpret_cast<const std::uint8_t*>(image.data()), image.size() * 8});
    return view.items<abi::PolicyLimit>(view.services()[0].limits)[0].identity;
  };
  const std::uint64_t first = identity("name: x, key: [route, service], rate: 1/s");
  EXPECT_EQ(identity("name: x, key: [route, service], rate: 5/s, burst: 9"), first);
  EXPECT_NE(identity("name: y, key: [route, service], rate: 1/s"), first);
  EXPECT_NE(identity("name: x, key: [route], rate: 1/s"), first);
}

}  // namespace
}  // namespace sluice::policy
