// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <type_traits>

/// The ruleset image: one read-only file per generation, written by sluiced, copied and verified by
/// the dataplane before any worker sees it. Offsets only, counted from the start of the image;
/// every section starts on a 64-byte boundary; little-endian. docs/abi.md.
namespace sluice::abi {

inline constexpr std::uint64_t kImageMagic = 0x31474d4945434c53ULL;  // "SLCEIMG1"
inline constexpr std::uint32_t kAbiVersion = 3;
inline constexpr std::uint64_t kImageBytesMax = 1ULL << 30;  // larger: refused
inline constexpr std::uint64_t kSectionAlignment = 64;

/// `count` items of a type that the reader knows, `offset` bytes from the start of the image.
struct Span32 {
  std::uint64_t offset;
  std::uint32_t count;
  std::uint32_t reserved;
};

/// A run of bytes in the strings section; not terminated.
struct StringRef {
  std::uint32_t offset;  ///< from the start of the strings section
  std::uint32_t bytes;
};

enum class SectionType : std::uint32_t {
  kStrings = 1,  ///< bytes that StringRef points into
  kPolicy = 2,   ///< one PolicyHeader and its arrays (abi/policy.h)
  kRules = 3,    ///< the rule program (abi/ruleset.h)
  kScans = 4,    ///< serialised Hyperscan databases, each on a 64-byte boundary
  kSources = 5,  ///< rule texts and their places, for explain; never read on a worker
};

struct Section {
  std::uint32_t type;  ///< a SectionType; unknown types are refused
  std::uint32_t reserved;
  std::uint64_t offset, bytes;
};

inline constexpr std::uint32_t kSectionsMax = 16;

/// First bytes of an image. `digest` covers everything behind the header; the header itself is
/// covered by `header_digest`, SHA-256 of the header with that field zero.
struct ImageHeader {
  std::uint64_t magic;
  std::uint32_t abi_version;
  std::uint32_t section_count;
  std::uint64_t image_bytes;
  std::uint64_t generation;
  std::uint64_t created_wall_ns;
  std::uint8_t digest[32];
  std::uint8_t header_digest[32];
  char hyperscan_version[64];            ///< hs_version() of the compiler, zero padded
  std::uint64_t hyperscan_cpu_features;  ///< hs_platform_info::cpu_features compiled for
  std::uint32_t hyperscan_tune;
  std::uint32_t reserved;
  Section sections[kSectionsMax];
};
static_assert(std::is_trivially_copyable_v<ImageHeader> && sizeof(ImageHeader) % 8 == 0);

/// Why the dataplane refused an image. Names go to sluiced and the user.
enum class ImageError : std::uint8_t {
  kNone,
  kUnreadable,
  kTooShort,
  kTooLarge,
  kMagic,
  kWrongAbi,
  kDigest,
  kHyperscanVersion,
  kCpuFeatures,
  kSection,
  kOffset,
  kPolicy,
  kRules,
  kScans,
  kMemory,
  kNoSlot,
};

constexpr const char* image_error_text(ImageError error) {
  switch (error) {
    case ImageError::kNone:
      return "accepted";
    case ImageError::kUnreadable:
      return "the image file cannot be read";
    case ImageError::kTooShort:
      return "the image is cut short";
    case ImageError::kTooLarge:
      return "the image is larger than 1 GiB";
    case ImageError::kMagic:
      return "not a Sluice image";
    case ImageError::kWrongAbi:
      return "made by another version: restart sluiced or the dataplane";
    case ImageError::kDigest:
      return "the digest does not match: the image is damaged or altered";
    case ImageError::kHyperscanVersion:
      return "compiled with another Hyperscan version";
    case ImageError::kCpuFeatures:
      return "compiled for another CPU: push again on this machine";
    case ImageError::kSection:
      return "a section is missing, unknown or out of bounds";
    case ImageError::kOffset:
      return "an offset points outside its section";
    case ImageError::kPolicy:
      return "the policy section contradicts itself";
    case ImageError::kRules:
      return "the rule program contradicts itself";
    case ImageError::kScans:
      return "a Hyperscan database cannot be placed";
    case ImageError::kMemory:
      return "not enough memory for another generation";
    case ImageError::kNoSlot:
      return "all generation slots are in use: old connections pin them";
  }
  return "unknown";
}

}  // namespace sluice::abi
