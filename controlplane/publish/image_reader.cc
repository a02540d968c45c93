// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/image_reader.h"

#include <cstring>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/policy.h"

namespace sluice::publish {
namespace {

template <typename T>
bool copy_at(std::string_view image, std::uint64_t offset, T& into) {
  if (offset > image.size() || image.size() - offset < sizeof(T)) return false;
  std::memcpy(&into, image.data() + offset, sizeof(T));
  return true;
}

std::string text_of(std::string_view image, const abi::Section& strings, abi::StringRef ref) {
  if (strings.offset > image.size() || image.size() - strings.offset < strings.bytes) return {};
  if (ref.offset > strings.bytes || strings.bytes - ref.offset < ref.bytes) return {};
  return std::string(image.substr(strings.offset + ref.offset, ref.bytes));
}

abi::Section find_section(std::string_view image, abi::SectionType type) {
  abi::ImageHeader header;
  if (!copy_at(image, 0, header) || header.magic != abi::kImageMagic) return {};
  for (std::uint32_t i = 0; i < header.section_count && i < abi::kSectionsMax; ++i) {
    if (header.sections[i].type == static_cast<std::uint32_t>(type)) return header.sections[i];
  }
  return {};
}

bool read_policy(std::string_view image, abi::PolicyHeader& policy) {
  const abi::Section section = find_section(image, abi::SectionType::kPolicy);
  return section.bytes >= sizeof policy && copy_at(image, section.offset, policy);
}

}  // namespace

abi::Mode image_mode(std::string_view image) {
  abi::PolicyHeader policy;
  return read_policy(image, policy) ? policy.mode : abi::Mode::kBlock;
}

namespace {

/// Calls visit(service, its name, limit) for each limit of a policy.
template <typename Visit>
void for_each_limit(std::string_view image, const abi::PolicyService& service, Visit visit) {
  for (std::uint32_t j = 0; j < service.limits.count && j < abi::kLimitsPerServiceMax; ++j) {
    abi::PolicyLimit limit;
    if (!copy_at(image, service.limits.offset + j * sizeof limit, limit)) return;
    visit(limit);
  }
}
template <typename Visit>
void for_each_service(std::string_view image, Visit visit) {
  abi::PolicyHeader policy;
  if (!read_policy(image, policy)) return;
  for (std::uint32_t i = 0; i < policy.services.count && i < abi::kServicesMax; ++i) {
    abi::PolicyService service;
    if (!copy_at(image, policy.services.offset + i * sizeof service, service)) return;
    visit(service);
  }
}

/// The rate in the unit that it is a whole number of: the interval was rounded down.
std::string rate_text(std::uint64_t interval_ns) {
  static constexpr std::pair<const char*, std::uint64_t> kUnits[] = {
      {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86'400}};
  for (const auto& [unit, seconds] : kUnits) {
    const std::uint64_t period_ns = seconds * 1'000'000'000;
    const std::uint64_t count = interval_ns == 0 ? 0 : period_ns / interval_ns;
    if (count != 0 && period_ns - count * interval_ns <= count) {
      return std::to_string(count) + "/" + unit;
    }
  }
  return "1 in " + std::to_string(interval_ns) + " ns";
}

std::string key_text(const abi::LimitKey& key, const std::string& name) {
  switch (key.part) {
    case abi::LimitKeyPart::kClientAddress:
      return "client_address";
    case abi::LimitKeyPart::kHeader:
      return "header:" + name;
    case abi::LimitKeyPart::kCookie:
      return "cookie:" + name;
    case abi::LimitKeyPart::kRoute:
      return "route";
    case abi::LimitKeyPart::kService:
      return "service";
  }
  return {};
}

}  // namespace

ImageNames image_names(std::string_view image) {
  ImageNames names;
  const abi::Section strings = find_section(image, abi::SectionType::kStrings);
  for_each_service(image, [&](const abi::PolicyService& service) {
    names.services.push_back(text_of(image, strings, service.name));
    names.service_modes.push_back(service.mode);
    for_each_limit(image, service, [&](const abi::PolicyLimit& limit) {
      if (limit.limit_id >= abi::kLimitsMax) return;
      if (names.limits.size() <= limit.limit_id) names.limits.resize(limit.limit_id + 1);
      names.limits[limit.limit_id] =
          names.services.back() + "/" + text_of(image, strings, limit.name);
    });
  });
  return names;
}

std::vector<ImageLimit> image_limits(std::string_view image) {
  std::vector<ImageLimit> all;
  const abi::Section strings = find_section(image, abi::SectionType::kStrings);
  for_each_service(image, [&](const abi::PolicyService& service) {
    for_each_limit(image, service, [&](const abi::PolicyLimit& limit) {
      ImageLimit into;
      into.service = text_of(image, strings, service.name);
      into.name = text_of(image, strings, limit.name);
      for (std::size_t k = 0; k < limit.key_count && k < abi::kLimitKeyPartsMax; ++k) {
        into.key.push_back(key_text(limit.keys[k], text_of(image, strings, limit.keys[k].name)));
      }
      into.prefix_v4_bits = limit.prefix_v4_bits;
      into.prefix_v6_bits = limit.prefix_v6_bits;
      into.rate = rate_text(limit.interval_ns);
      into.burst = limit.interval_ns == 0 ? 0 : limit.burst_ns / limit.interval_ns;
      into.action = limit.action;
      into.allows_when_full = limit.on_full == abi::OnFull::kAllow;
      all.push_back(std::move(into));
    });
  });
  return all;
}

}  // namespace sluice::publish
