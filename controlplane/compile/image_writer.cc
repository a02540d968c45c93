// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <hs/hs.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "controlplane/compile/program.h"
#include "dataplane/base/clock.h"

namespace sluice::compile {

namespace {

using Image = std::vector<std::uint8_t>;

void align(Image& image, std::size_t alignment = abi::kSectionAlignment) {
  image.resize((image.size() + alignment - 1) / alignment * alignment);
}

void append(Image& image, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  image.insert(image.end(), bytes, bytes + size);
}

template <typename T>
abi::Span32 append_array(Image& image, const std::vector<T>& items) {
  align(image, 16);
  const abi::Span32 span{image.size(), static_cast<std::uint32_t>(items.size()), 0};
  append(image, items.data(), items.size() * sizeof(T));
  return span;
}

void append_arrays(Image& image, const Program& program,
                   const std::vector<abi::ScanDatabase>& databases, abi::RulesetHeader& header) {
  header.rules = append_array(image, program.rules);
  for (std::uint32_t phase = 0; phase < abi::kPhaseCount; ++phase) {
    header.phases[phase] = append_array(image, program.phases[phase]);
  }
  header.targets = append_array(image, program.targets);
  header.exclusions = append_array(image, program.exclusions);
  header.actions = append_array(image, program.actions);
  header.texts = append_array(image, program.texts);
  header.tags = append_array(image, program.tags);
  header.nodes = append_array(image, program.nodes);
  header.regexes = append_array(image, program.regexes);
  header.regex_needs = append_array(image, program.regex_needs);
  header.phrase_sets = append_array(image, program.phrase_sets);
  header.phrases = append_array(image, program.phrases);
  std::vector<abi::IpSetSpec> ip_sets;
  for (const Program::IpRanges& ranges : program.ip_sets) {
    const abi::Span32 v4 = append_array(image, ranges.v4);
    ip_sets.push_back({v4, append_array(image, ranges.v6)});
  }
  header.ip_sets = append_array(image, ip_sets);
  header.byte_ranges = append_array(image, program.byte_ranges);
  header.patterns = append_array(image, program.patterns);
  header.uses = append_array(image, program.uses);
  header.rows = append_array(image, program.rows);
  header.row_classes = append_array(image, program.row_classes);
  header.groups = append_array(image, program.groups);
  header.keys = append_array(image, program.keys);
  header.group_classes = append_array(image, program.group_classes);
  header.key_grams = append_array(image, program.key_grams);
  header.set_grams = append_array(image, program.set_grams);
  header.set_patterns = append_array(image, program.set_patterns);
  header.sets = append_array(image, program.sets);
  header.leads = append_array(image, program.leads);
  header.node_leads = append_array(image, program.node_leads);
  header.zones = append_array(image, program.zones);
  header.databases = append_array(image, databases);
  header.check_rules = append_array(image, program.check_rules);
  header.slots = append_array(image, program.slots);
  header.settings.response_mime_types = append_array(image, program.response_mime_types);
  if (!program.unicode_map.empty()) {
    header.unicode_map = append_array(image, program.unicode_map).offset;
  }
}

void begin_section(Image& image, abi::ImageHeader& header, abi::SectionType type) {
  align(image);
  abi::Section& section = header.sections[header.section_count++];
  section = {static_cast<std::uint32_t>(type), 0, image.size(), 0};
}
void end_section(const Image& image, abi::ImageHeader& header) {
  abi::Section& section = header.sections[header.section_count - 1];
  section.bytes = image.size() - section.offset;
}

/// The scans come first, because the rules section holds their places.
void append_program(Image& image, const Program& program, abi::ImageHeader& header) {
  begin_section(image, header, abi::SectionType::kScans);
  std::vector<abi::ScanDatabase> databases;
  for (const std::string& database : program.databases) {
    align(image);
    databases.push_back({image.size(), database.size()});
    append(image, database.data(), database.size());
  }
  end_section(image, header);
  begin_section(image, header, abi::SectionType::kRules);
  const std::size_t at = image.size();
  image.resize(at + sizeof(abi::RulesetHeader));
  abi::RulesetHeader rules{};
  rules.version = abi::kRulesetVersion;
  rules.check_count = static_cast<std::uint32_t>(program.check_rules.size());
  std::copy_n(program.variables, std::size(program.variables), rules.variables);
  rules.settings = program.settings;
  append_arrays(image, program, databases, rules);
  std::memcpy(image.data() + at, &rules, sizeof rules);
  end_section(image, header);
}

void digest(const void* data, std::size_t size, std::uint8_t (&to)[32]) {
  unsigned bytes = 0;
  EVP_Digest(data, size, to, &bytes, EVP_sha256(), nullptr);
}

}  // namespace

base::Result<std::vector<std::uint8_t>> write_image(const ImageParts& parts,
                                                    const Program* program) {
  abi::ImageHeader header{};
  header.magic = abi::kImageMagic;
  header.abi_version = abi::kAbiVersion;
  header.generation = parts.generation;
  header.created_wall_ns = base::wall_now();
  std::strncpy(header.hyperscan_version, hs_version(), sizeof header.hyperscan_version - 1);
  hs_platform_info_t platform{};
  if (hs_populate_platform(&platform) == HS_SUCCESS) {
    header.hyperscan_cpu_features = platform.cpu_features;
    header.hyperscan_tune = platform.tune;
  }
  Image image(kPolicyOffset);
  if (!parts.policy.empty()) {
    begin_section(image, header, abi::SectionType::kPolicy);
    append(image, parts.policy.data(), parts.policy.size());
    end_section(image, header);
  }
  if (program != nullptr) append_program(image, *program, header);
  begin_section(image, header, abi::SectionType::kStrings);
  if (parts.strings != nullptr) {
    append(image, parts.strings->bytes().data(), parts.strings->bytes().size());
  }
  end_section(image, header);
  align(image);
  if (image.size() > abi::kImageBytesMax) {
    return base::Error{"the compiled rules take more than 1 GiB"};
  }
  header.image_bytes = image.size();
  digest(image.data() + sizeof header, image.size() - sizeof header, header.digest);
  digest(&header, sizeof header, header.header_digest);
  std::memcpy(image.data(), &header, sizeof header);
  return image;
}

void ProgramDeleter::operator()(Program* program) const { delete program; }

}  // namespace sluice::compile
