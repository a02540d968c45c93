// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/engine/rig_image.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "controlplane/compile/compile.h"
#include "controlplane/seclang/link.h"
#include "dataplane/abi/policy.h"
#include "dataplane/base/ip_address.h"
#include "tests/unit/engine/engine_rig.h"

namespace sluice::test {
namespace {

constexpr const char* kRules = R"(
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/leaky
SecRule REQUEST_URI|REQUEST_HEADERS "@contains attack" "id:100,phase:1,deny,status:403,msg:'In the head'"
SecRule ARGS_POST|REQUEST_BODY "@contains attack" "id:200,phase:2,deny,status:403,msg:'In the body'"
SecRule RESPONSE_HEADERS:X-Leak "@rx ." "id:300,phase:3,deny,status:403,msg:'In the response'"
SecRule RESPONSE_BODY "@contains secretsecret" "id:400,phase:4,deny,status:403,msg:'In its body'"
)";

/// Compiled once per text: tests make many rigs.
struct Compiled {
  compile::StringsBuilder strings;
  compile::ProgramPtr program;
};

Compiled& compiled(const std::string& rules) {
  static std::map<std::string, Compiled> cache;
  const auto [entry, is_new] = cache.try_emplace(rules);
  Compiled& result = entry->second;
  if (!is_new) return result;
  seclang::SourceSet sources;
  config::Diagnostics diagnostics;
  const auto linked =
      seclang::link_text("rig.conf", rules.empty() ? kRules : rules, sources, diagnostics);
  compile::CompileReport report;
  compile::CompileOptions compile_options;
  if (const char* folder = std::getenv("SLUICE_TEST_CACHE"); folder != nullptr) {
    compile_options.cache_folder = folder;
  }
  result.program = compile::compile(linked, compile_options, result.strings, diagnostics, report);
  for (const auto& error : diagnostics.errors) ADD_FAILURE() << config::to_text(error);
  return result;
}

/// Policy section and strings, put together by hand: the engine is tested without the control
/// plane.
class Sections {
 public:
  template <typename T>
  abi::Span32 add(const std::vector<T>& items) {
    while (policy.size() % 8 != 0) policy.push_back(0);
    const abi::Span32 span{compile::kPolicyOffset + policy.size(),
                           static_cast<std::uint32_t>(items.size()), 0};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(items.data());
    policy.insert(policy.end(), bytes, bytes + items.size() * sizeof(T));
    return span;
  }
  abi::StringRef text(const std::string& value) { return strings.add(value); }
  std::vector<std::uint8_t> policy;
  compile::StringsBuilder strings;
};

abi::PolicyPrefix prefix(const std::string& text) {
  const auto parsed = base::IpPrefix::parse(text).value();
  abi::PolicyPrefix result{};
  std::memcpy(result.address, parsed.address.bytes, sizeof result.address);
  result.prefix_bits = parsed.bits;
  return result;
}

}  // namespace

std::vector<std::uint8_t> rig_image(const RigOptions& options, const std::string& rules,
                                    std::uint64_t generation) {
  const Compiled& program = compiled(rules);
  Sections sections;
  sections.strings = program.strings;
  sections.policy.resize(sizeof(abi::PolicyHeader));
  abi::PolicyService service{};
  service.name = sections.text("orders");
  service.addresses =
      sections.add(std::vector<abi::PolicyPrefix>{prefix("198.51.100.2"), prefix("2001:db8::2")});
  service.ports = sections.add(std::vector<std::uint16_t>{80});
  std::vector<abi::StringRef> hosts;
  for (const std::string& host : options.hosts) hosts.push_back(sections.text(host));
  service.hosts = sections.add(hosts);
  if (!options.trusted.empty()) {
    service.trusted = sections.add(std::vector<abi::PolicyPrefix>{prefix(options.trusted)});
  }
  if (!options.client_header.empty()) {
    service.client_address_header = sections.text(options.client_header);
  }
  service.client_address_position = abi::ClientAddressPosition::kLast;
  if (options.limit_burst != 0) {
    abi::PolicyLimit limit{};
    limit.name = sections.text("per-client");
    limit.interval_ns = base::kNanosPerSecond;
    limit.burst_ns = limit.interval_ns * options.limit_burst;
    limit.identity = 77;
    limit.keys[0].part = abi::LimitKeyPart::kClientAddress;
    limit.key_count = 1;
    limit.prefix_v4_bits = 32;
    limit.prefix_v6_bits = 64;
    limit.action = abi::Mode::kBlock;
    service.limits = sections.add(std::vector<abi::PolicyLimit>{limit});
  }
  service.mode = abi::Mode::kBlock;
  service.strict = options.strict;
  service.allow_websocket = options.allow_websocket ? 1 : 0;
  service.reply_wait_ms = options.reply_wait_ms;
  service.linger_ms = options.linger_ms;
  service.head_timeout_ms = options.head_timeout_ms;
  service.body_timeout_ms = options.body_timeout_ms;
  service.idle_timeout_ms = options.idle_timeout_ms;
  service.body_rate_min = options.body_rate_min;
  service.response_hold_bytes = options.response_hold_bytes;
  const abi::Span32 services = sections.add(std::vector<abi::PolicyService>{service});
  abi::PolicyHeader header{};
  header.mode = options.mode;
  header.midstream = options.midstream;
  header.value_bytes = 65536;
  header.services = services;
  header.limit_count = 1;
  header.pin_max_s = 60;
  std::memcpy(sections.policy.data(), &header, sizeof header);

  compile::ImageParts parts;
  parts.policy = sections.policy;
  parts.strings = &sections.strings;
  parts.generation = generation;
  return compile::write_image(parts, program.program.get()).value();
}

}  // namespace sluice::test
