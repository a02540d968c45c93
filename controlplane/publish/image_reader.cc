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

}  // namespace

ImageNames image_names(std::string_view image) {
  ImageNames names;
  abi::ImageHeader header;
  if (!copy_at(image, 0, header) || header.magic != abi::kImageMagic) return names;
  abi::Section strings{}, policy_section{};
  for (std::uint32_t i = 0; i < header.section_count && i < abi::kSectionsMax; ++i) {
    const abi::Section& section = header.sections[i];
    if (section.type == static_cast<std::uint32_t>(abi::SectionType::kStrings)) strings = section;
    if (section.type == static_cast<std::uint32_t>(abi::SectionType::kPolicy)) {
      policy_section = section;
    }
  }
  abi::PolicyHeader policy;
  if (policy_section.bytes == 0 || !copy_at(image, policy_section.offset, policy)) return names;
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
