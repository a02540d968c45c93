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

ImageNames image_names(std::string_view image) {
  ImageNames names;
  const abi::Section strings = find_section(image, abi::SectionType::kStrings);
  abi::PolicyHeader policy;
  if (!read_policy(image, policy)) return names;
  for (std::uint32_t i = 0; i < policy.services.count && i < abi::kServicesMax; ++i) {
    abi::PolicyService service;
    if (!copy_at(image, policy.services.offset + i * sizeof service, service)) break;
    names.services.push_back(text_of(image, strings, service.name));
    for (std::uint32_t j = 0; j < service.limits.count && j < abi::kLimitsPerServiceMax; ++j) {
      abi::PolicyLimit limit;
      if (!copy_at(image, service.limits.offset + j * sizeof limit, limit)) break;
      if (limit.limit_id >= abi::kLimitsMax) continue;
      if (names.limits.size() <= limit.limit_id) names.limits.resize(limit.limit_id + 1);
      names.limits[limit.limit_id] =
          names.services.back() + "/" + text_of(image, strings, limit.name);
    }
  }
  return names;
}

}  // namespace sluice::publish
