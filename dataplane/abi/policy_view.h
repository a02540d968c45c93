// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/abi/image.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/policy.h"
#include "dataplane/base/bytes.h"

/// Reading the policy section of an image. PolicyView::valid() checks every offset once, on the
/// dataplane's own copy; afterwards PolicyView follows them without checks.
namespace sluice::abi {

/// The section of `type`, or an empty span: absent, or outside the image.
inline base::Bytes find_section(base::Bytes image, SectionType type) {
  if (image.size() < sizeof(ImageHeader)) return {};
  const auto* header = reinterpret_cast<const ImageHeader*>(image.data());
  if (header->section_count > kSectionsMax) return {};
  for (std::uint32_t i = 0; i < header->section_count; ++i) {
    const Section& section = header->sections[i];
    if (section.type != static_cast<std::uint32_t>(type)) continue;
    if (section.offset > image.size() || section.bytes > image.size() - section.offset) return {};
    return image.subspan(section.offset, section.bytes);
  }
  return {};
}

/// Views into one verified image, which must outlive them.
class PolicyView {
 public:
  PolicyView() = default;
  explicit PolicyView(base::Bytes image)
      : image_(image),
        strings_(find_section(image, SectionType::kStrings)),
        policy_(find_section(image, SectionType::kPolicy)) {}

  [[nodiscard]] const PolicyHeader& header() const {
    return *reinterpret_cast<const PolicyHeader*>(policy_.data());
  }
  template <typename T>
  [[nodiscard]] std::span<const T> items(const Span32& span) const {
    if (span.count == 0) return {};
    return {reinterpret_cast<const T*>(image_.data() + span.offset), span.count};
  }
  [[nodiscard]] std::string_view text(StringRef text) const {
    return base::as_text(strings_.subspan(text.offset, text.bytes));
  }
  [[nodiscard]] std::span<const PolicyService> services() const {
    return items<PolicyService>(header().services);
  }

  /// True when every offset lies inside its section and every enumerator and count is in range.
  /// O(policy).
  [[nodiscard]] bool valid() const {
    if (policy_.size() < sizeof(PolicyHeader) || !aligned(policy_.data(), alignof(PolicyHeader))) {
      return false;
    }
    const PolicyHeader& top = header();
    if (top.mode > Mode::kBlock || top.midstream > Midstream::kPass ||
        top.unknown_frames > UnknownFrames::kDrop || top.limit_count > kLimitsMax ||
        top.services.count > kServicesMax || !holds<PolicyService>(top.services)) {
      return false;
    }
    for (const PolicyService& service : services()) {
      if (!valid_service(service, top.limit_count)) return false;
    }
    return true;
  }

 private:
  static bool aligned(const void* at, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(at) % alignment == 0;
  }
  /// The span lies in the policy section and is aligned for T.
  template <typename T>
  [[nodiscard]] bool holds(const Span32& span) const {
    if (span.count == 0) return true;
    const auto start = static_cast<std::uint64_t>(policy_.data() - image_.data());
    if (span.offset < start || span.offset - start > policy_.size()) return false;
    return span.count <= (policy_.size() - (span.offset - start)) / sizeof(T) &&
           aligned(image_.data() + span.offset, alignof(T));
  }
  [[nodiscard]] bool holds_text(StringRef text) const {
    return text.offset <= strings_.size() && text.bytes <= strings_.size() - text.offset;
  }
  [[nodiscard]] bool valid_prefixes(const Span32& span) const {
    if (!holds<PolicyPrefix>(span)) return false;
    for (const PolicyPrefix& prefix : items<PolicyPrefix>(span)) {
      if (prefix.prefix_bits > 128) return false;
    }
    return true;
  }
  [[nodiscard]] bool valid_limit(const PolicyLimit& limit, std::uint32_t limit_count) const {
    if (limit.limit_id >= limit_count || limit.key_count == 0 ||
        limit.key_count > kLimitKeyPartsMax || limit.interval_ns == 0 ||
        limit.burst_ns < limit.interval_ns || limit.prefix_v4_bits > 32 ||
        limit.prefix_v6_bits > 128 || limit.action > Mode::kBlock ||
        limit.on_full > OnFull::kAllow || !holds_text(limit.name)) {
      return false;
    }
    for (std::size_t i = 0; i < limit.key_count; ++i) {
      if (limit.keys[i].part > LimitKeyPart::kService || !holds_text(limit.keys[i].name)) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] bool valid_service(const PolicyService& service, std::uint32_t limit_count) const {
    if (!holds_text(service.name) || !valid_prefixes(service.addresses) ||
        !valid_prefixes(service.trusted) || !holds<std::uint16_t>(service.ports) ||
        !holds<StringRef>(service.hosts) || !holds<PolicyLimit>(service.limits) ||
        service.limits.count > kLimitsPerServiceMax || !holds<PolicyRoute>(service.routes) ||
        !holds_text(service.client_address_header) || service.mode > Mode::kBlock ||
        service.client_address_position > ClientAddressPosition::kLast) {
      return false;
    }
    for (const StringRef& host : items<StringRef>(service.hosts)) {
      if (!holds_text(host)) return false;
    }
    for (const PolicyRoute& route : items<PolicyRoute>(service.routes)) {
      if (!holds_text(route.name) || !holds_text(route.method) || !holds_text(route.pattern)) {
        return false;
      }
    }
    for (const PolicyLimit& limit : items<PolicyLimit>(service.limits)) {
      if (!valid_limit(limit, limit_count)) return false;
    }
    return true;
  }

  base::Bytes image_, strings_, policy_;
};

}  // namespace sluice::abi
