// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/ruleset.h"

#include <hs/hs.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/rules/image_check.h"
#include "dataplane/rules/operator/geo_lookup.h"
#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/phase_plan.h"
#include "dataplane/rules/scan_index.h"
#include "dataplane/rules/score_slots.h"
#include "dataplane/rules/slot_index.h"

namespace sluice::rules {

using abi::ImageError;

namespace {

bool digest_equals(const void* data, std::size_t size, const std::uint8_t* expected) {
  std::uint8_t digest[32];
  unsigned bytes = 0;
  return EVP_Digest(data, size, digest, &bytes, EVP_sha256(), nullptr) == 1 && bytes == 32 &&
         std::memcmp(digest, expected, 32) == 0;
}

ImageError check_digests(base::Bytes image) {
  abi::ImageHeader header;
  std::memcpy(&header, image.data(), sizeof header);
  std::uint8_t expected[32];
  std::memcpy(expected, header.header_digest, sizeof expected);
  std::memset(header.header_digest, 0, sizeof header.header_digest);
  if (!digest_equals(&header, sizeof header, expected)) return ImageError::kDigest;
  const base::Bytes rest = image.subspan(sizeof header);
  return digest_equals(rest.data(), rest.size(), header.digest) ? ImageError::kNone
                                                                : ImageError::kDigest;
}

ImageError check_platform(const abi::ImageHeader& header) {
  if (std::strncmp(header.hyperscan_version, hs_version(), sizeof header.hyperscan_version) != 0) {
    return ImageError::kHyperscanVersion;
  }
  hs_platform_info_t platform{};
  if (hs_populate_platform(&platform) != HS_SUCCESS) return ImageError::kCpuFeatures;
  // Features that this CPU lacks cannot be run; those that it has beyond them do not matter.
  if ((header.hyperscan_cpu_features & ~platform.cpu_features) != 0) {
    return ImageError::kCpuFeatures;
  }
  return ImageError::kNone;
}

}  // namespace

ImageError verify_structure(base::Bytes image) {
  ImageLayout layout;
  if (const ImageError error = read_layout(image, layout); error != ImageError::kNone) return error;
  return check_program(image, layout);
}

ImageError verify_image(base::Bytes image) {
  ImageLayout layout;
  if (const ImageError error = read_layout(image, layout); error != ImageError::kNone) return error;
  if (const ImageError error = check_digests(image); error != ImageError::kNone) return error;
  if (layout.rules != nullptr) {
    if (const ImageError error = check_platform(*layout.header); error != ImageError::kNone) {
      return error;
    }
  }
  return check_program(image, layout);
}

struct Ruleset::Prepared {
  std::vector<Regex> regexes;
  std::vector<std::uint32_t> exact_patterns;  ///< by regex
  std::vector<void*> databases;               ///< hs_database_t at 64-byte boundaries
  std::vector<hs_scratch_t*> scratches;
  std::optional<GeoDatabase> geo;
  ScanIndex scan_index;
  SlotIndex slot_index;
  PhasePlans phase_plans;
  ScoreSlots score_slots;
  std::size_t bytes = 0;
  abi::RulesetHeader empty{};  ///< of an image without rules

  ~Prepared() {
    for (hs_scratch_t* scratch : scratches) hs_free_scratch(scratch);
    for (void* database : databases) std::free(database);
  }
};

Ruleset::~Ruleset() = default;

base::Result<std::unique_ptr<Ruleset>> Ruleset::open(base::Bytes image, std::uint32_t worker_count,
                                                     ImageError& error) {
  error = verify_image(image);
  if (error != ImageError::kNone) return base::Error{abi::image_error_text(error)};
  ImageLayout layout;
  error = read_layout(image, layout);
  std::unique_ptr<Ruleset> ruleset(new (std::nothrow) Ruleset);
  if (ruleset != nullptr) ruleset->prepared_.reset(new (std::nothrow) Prepared);
  if (ruleset == nullptr || ruleset->prepared_ == nullptr) {
    error = ImageError::kMemory;
    return base::Error{abi::image_error_text(error)};
  }
  static std::atomic<std::uint32_t> last_serial{0};
  ruleset->serial_ = last_serial.fetch_add(1, std::memory_order_relaxed) + 1;
  ruleset->image_ = image;
  ruleset->strings_ = reinterpret_cast<const char*>(image.data()) + layout.strings->offset;
  ruleset->header_ =
      layout.rules == nullptr
          ? &ruleset->prepared_->empty
          : reinterpret_cast<const abi::RulesetHeader*>(image.data() + layout.rules->offset);
  if (auto status = ruleset->prepare(worker_count); !status.ok()) {
    error = ImageError::kScans;
    return status.error();
  }
  return ruleset;
}

base::Status Ruleset::prepare(std::uint32_t worker_count) {
  for (const abi::RegexSpec& spec : array<abi::RegexSpec>(header_->regexes)) {
    RegexOptions options;
    options.caseless = (spec.flags & abi::kRegexCaseless) != 0;
    auto regex = Regex::compile(text(spec.pattern), options);
    if (!regex.ok()) return regex.error();
    prepared_->bytes += regex.value().memory_bytes();
    prepared_->regexes.push_back(std::move(regex).value());
  }
  prepared_->exact_patterns.assign(prepared_->regexes.size(), abi::kNone32);
  const auto patterns = array<abi::ScanPattern>(header_->patterns);
  for (std::uint32_t i = 0; i < patterns.size(); ++i) {
    if (patterns[i].exact != 0) prepared_->exact_patterns[patterns[i].regex] = i;
  }
  prepared_->scratches.assign(worker_count, nullptr);
  for (const abi::ScanDatabase& database : array<abi::ScanDatabase>(header_->databases)) {
    const char* serialised = reinterpret_cast<const char*>(image_.data()) + database.offset;
    std::size_t bytes = 0;
    if (hs_serialized_database_size(serialised, database.bytes, &bytes) != HS_SUCCESS) {
      return base::Error{"a Hyperscan database in the image is damaged"};
    }
    void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == nullptr) return base::Error{"no memory for a Hyperscan database"};
    prepared_->databases.push_back(memory);
    prepared_->bytes += bytes;
    auto* placed = static_cast<hs_database_t*>(memory);
    if (hs_deserialize_database_at(serialised, database.bytes, placed) != HS_SUCCESS) {
      return base::Error{"a Hyperscan database in the image cannot be placed"};
    }
    for (hs_scratch_t*& scratch : prepared_->scratches) {
      if (hs_alloc_scratch(placed, &scratch) != HS_SUCCESS) {
        return base::Error{"no memory for Hyperscan's scratch"};
      }
    }
  }
  prepared_->scan_index.build(*this);
  prepared_->slot_index.build(*this);
  prepared_->phase_plans.build(*this);
  prepared_->score_slots.build(*this);
  const auto targets = array<abi::RuleTarget>(header_->targets);
  reads_xml_texts_ = std::any_of(targets.begin(), targets.end(), [this](const auto& target) {
    return static_cast<abi::VariableId>(target.variable) == abi::VariableId::kXml &&
           text(target.key) == kXmlTexts;
  });
  if (header_->settings.geo_database.bytes > 0) {
    auto geo = GeoDatabase::open(std::string(text(header_->settings.geo_database)));
    if (!geo.ok()) return geo.error();
    prepared_->geo.emplace(std::move(geo).value());
  }
  return base::ok_status();
}

std::uint64_t Ruleset::generation() const {
  return reinterpret_cast<const abi::ImageHeader*>(image_.data())->generation;
}
const Regex& Ruleset::regex(std::uint32_t index) const { return prepared_->regexes[index]; }
std::uint32_t Ruleset::exact_pattern(std::uint32_t index) const {
  return prepared_->exact_patterns[index];
}
const GeoDatabase* Ruleset::geo_database() const {
  return prepared_->geo.has_value() ? &*prepared_->geo : nullptr;
}
const void* Ruleset::database(std::uint32_t index) const { return prepared_->databases[index]; }
void* Ruleset::scratch(std::uint32_t worker_index) const {
  return worker_index < prepared_->scratches.size() ? prepared_->scratches[worker_index] : nullptr;
}
const ScanIndex& Ruleset::scan_index() const { return prepared_->scan_index; }
const SlotIndex& Ruleset::slot_index() const { return prepared_->slot_index; }
const PhasePlans& Ruleset::phase_plans() const { return prepared_->phase_plans; }
const ScoreSlots& Ruleset::score_slots() const { return prepared_->score_slots; }
std::size_t Ruleset::memory_bytes() const { return prepared_->bytes; }

}  // namespace sluice::rules
