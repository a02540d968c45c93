// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/engine/rig_image.h"

#include <algorithm>
#include <cstring>

#include "dataplane/abi/policy.h"
#include "dataplane/base/ip_address.h"
#include "tests/unit/engine/engine_rig.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kPolicyAt = (sizeof(abi::ImageHeader) + 63) / 64 * 64;

/// Policy section and strings, put together by hand: the engine is tested without the control
/// plane.
class Sections {
 public:
  template <typename T>
  abi::Span32 add(const std::vector<T>& items) {
    while (policy.size() % 8 != 0) policy.push_back(0);
    const abi::Span32 span{kPolicyAt + policy.size(), static_cast<std::uint32_t>(items.size()), 0};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(items.data());
    policy.insert(policy.end(), bytes, bytes + items.size() * sizeof(T));
    return span;
  }
  abi::StringRef text(const std::string& value) {
    const abi::StringRef ref{static_cast<std::uint32_t>(strings.size()),
                             static_cast<std::uint32_t>(value.size())};
    strings += value;
    return ref;
  }
  std::vector<std::uint8_t> policy;
  std::string strings;
};

abi::PolicyPrefix prefix(const std::string& text) {
  const auto parsed = base::IpPrefix::parse(text).value();
  abi::PolicyPrefix result{};
  std::memcpy(result.address, parsed.address.bytes, sizeof result.address);
  result.prefix_bits = parsed.bits;
  return result;
}

}  // namespace

std::vector<std::uint8_t> rig_image(const RigOptions& options, const std::string&,
                                    std::uint64_t generation) {
  Sections sections;
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

  const std::uint64_t strings_at = (kPolicyAt + sections.policy.size() + 63) / 64 * 64;
  std::vector<std::uint8_t> image(strings_at + sections.strings.size());
  std::copy(sections.policy.begin(), sections.policy.end(), image.data() + kPolicyAt);
  std::copy(sections.strings.begin(), sections.strings.end(), image.data() + strings_at);
  abi::ImageHeader top{};
  top.magic = abi::kImageMagic;
  top.abi_version = abi::kAbiVersion;
  top.section_count = 2;
  top.image_bytes = image.size();
  top.generation = generation;
  top.sections[0] = {static_cast<std::uint32_t>(abi::SectionType::kPolicy), 0, kPolicyAt,
                     sections.policy.size()};
  top.sections[1] = {static_cast<std::uint32_t>(abi::SectionType::kStrings), 0, strings_at,
                     sections.strings.size()};
  std::memcpy(image.data(), &top, sizeof top);
  return image;
}

}  // namespace sluice::test
