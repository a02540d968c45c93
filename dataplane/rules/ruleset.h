// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/abi/image.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

/// The XPath of XML's text nodes, each a value of its own.
inline constexpr std::string_view kXmlTexts = "//text()";

class Regex;
class GeoDatabase;
class ScoreSlots;
class SlotIndex;
struct PhasePlans;
struct ScanIndex;

/// Checks everything about an image that a reader relies on: magic, versions, digests, sections,
/// every offset and index of the rules section, and every serialised database. The policy section
/// is checked by its own reader. `image`: all of it, on a 64-byte boundary. O(image); off the
/// packet path.
abi::ImageError verify_image(base::Bytes image);

/// The part of an image's verification that needs no cryptography, for fuzzing: sections, offsets
/// and indices.
abi::ImageError verify_structure(base::Bytes image);

/// One accepted image, ready to judge with: views into the image, Hyperscan databases placed in the
/// engine's own memory, PCRE2 patterns compiled. Made off the packet path, read-only afterwards,
/// shared by all workers. The image must outlive it and stay as it is.
class Ruleset {
 public:
  /// Verifies `image` and prepares it for workers 0..worker_count - 1. On an error, which is also
  /// put into `error`, nothing is left behind.
  static base::Result<std::unique_ptr<Ruleset>> open(base::Bytes image, std::uint32_t worker_count,
                                                     abi::ImageError& error);
  Ruleset(const Ruleset&) = delete;
  Ruleset& operator=(const Ruleset&) = delete;
  ~Ruleset();

  [[nodiscard]] std::uint64_t generation() const;
  /// Of this process: no other Ruleset has had it. Not 0.
  [[nodiscard]] std::uint32_t serial() const { return serial_; }
  [[nodiscard]] const abi::RulesetHeader& header() const { return *header_; }
  [[nodiscard]] const abi::RulesetSettings& settings() const { return header_->settings; }
  [[nodiscard]] base::Bytes image() const { return image_; }

  [[nodiscard]] std::string_view text(abi::StringRef ref) const {
    return {strings_ + ref.offset, ref.bytes};
  }
  template <typename T>
  [[nodiscard]] std::span<const T> array(abi::Span32 span) const {
    return {reinterpret_cast<const T*>(image_.data() + span.offset), span.count};
  }
  [[nodiscard]] std::span<const abi::Rule> rules() const {
    return array<abi::Rule>(header_->rules);
  }
  [[nodiscard]] const Regex& regex(std::uint32_t index) const;
  /// The ScanPattern that Hyperscan looks for exactly in place of regex `index`; kNone32: none.
  [[nodiscard]] std::uint32_t exact_pattern(std::uint32_t index) const;
  [[nodiscard]] const GeoDatabase* geo_database() const;
  /// Hyperscan database `index`, an hs_database_t.
  [[nodiscard]] const void* database(std::uint32_t index) const;
  [[nodiscard]] std::uint32_t database_count() const { return header_->databases.count; }
  [[nodiscard]] const ScanIndex& scan_index() const;
  [[nodiscard]] const SlotIndex& slot_index() const;
  [[nodiscard]] const PhasePlans& phase_plans() const;
  [[nodiscard]] const ScoreSlots& score_slots() const;
  /// True if some rule reads the text nodes of XML (kXmlTexts).
  [[nodiscard]] bool reads_xml_texts() const { return reads_xml_texts_; }
  /// Hyperscan's scratch for one worker, an hs_scratch_t.
  [[nodiscard]] void* scratch(std::uint32_t worker_index) const;
  /// Bytes of machine code and tables beside the image.
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  Ruleset() = default;
  base::Status prepare(std::uint32_t worker_count);

  base::Bytes image_;
  const abi::RulesetHeader* header_ = nullptr;
  const char* strings_ = nullptr;
  std::uint32_t serial_ = 0;
  bool reads_xml_texts_ = false;
  struct Prepared;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace sluice::rules
