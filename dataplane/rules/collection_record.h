// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/names.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"

/// How the records of persistent collections lie in a page (collections.h): one behind the other,
/// the one changed last at the end. Everything is a multiple of 8 bytes.
namespace sluice::rules {

/// One collection: IP of one client, for instance. Its key (cut at kCollectionKeyBytesMax, for
/// KEY) and its members follow.
struct RecordHeader {
  base::Hash128 identity;    ///< keyed hash of collection, application and whole key
  std::uint64_t updated_ns;  ///< CLOCK_MONOTONIC of the last change
  std::uint64_t created_by;  ///< the transaction that made it
  std::uint64_t updated_by;  ///< the transaction that changed it last
  std::uint32_t created_s;   ///< wall clock
  std::uint32_t updated_s;   ///< wall clock
  std::uint32_t updates;     ///< transactions that changed it; stays at its largest value
  std::uint32_t timeout_s;   ///< it ends so long after the last change
  std::uint16_t bytes;       ///< of all of it
  std::uint16_t key_bytes;   ///< before padding
  std::uint16_t member_count;
  std::uint16_t reserved;
};
static_assert(sizeof(RecordHeader) == 64);

struct MemberHeader {
  std::uint64_t expires_ns;  ///< CLOCK_MONOTONIC; 0: with its record
  std::uint16_t name_bytes, value_bytes;
  std::uint32_t reserved;
};
static_assert(sizeof(MemberHeader) == 16);

struct CollectionMember {
  std::string_view name, value;
  std::uint64_t expires_ns;
  [[nodiscard]] bool expired(std::uint64_t now_ns) const {
    return expires_ns != 0 && expires_ns <= now_ns;
  }
};

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }
constexpr std::size_t member_bytes(std::size_t name_bytes, std::size_t value_bytes) {
  return sizeof(MemberHeader) + padded(name_bytes + value_bytes);
}

/// A record in memory that nobody else writes. Lengths are never trusted: a damaged record has
/// fewer members, and reading stays inside of it.
class RecordView {
 public:
  RecordView() = default;
  /// bytes: the record, at least its header, 8-byte aligned, borrowed.
  explicit RecordView(base::Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] bool exists() const { return !bytes_.empty(); }
  [[nodiscard]] base::Bytes bytes() const { return bytes_; }
  [[nodiscard]] const RecordHeader& header() const {
    return *reinterpret_cast<const RecordHeader*>(bytes_.data());
  }
  [[nodiscard]] std::string_view key() const {
    const std::size_t rest = bytes_.size() - sizeof(RecordHeader);
    return base::as_text(bytes_).substr(sizeof(RecordHeader),
                                        header().key_bytes <= rest ? header().key_bytes : 0);
  }
  [[nodiscard]] bool expired(std::uint64_t now_ns) const {
    return header().updated_ns + header().timeout_s * base::kNanosPerSecond <= now_ns;
  }

  /// visit(member) for each member, expired ones too, until it says false. O(members).
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    std::size_t at = sizeof(RecordHeader) + padded(key().size());
    for (std::size_t i = 0; i < header().member_count; ++i) {
      if (at > bytes_.size() || bytes_.size() - at < sizeof(MemberHeader)) return;
      MemberHeader member;
      std::memcpy(&member, bytes_.data() + at, sizeof member);
      const std::size_t size = member_bytes(member.name_bytes, member.value_bytes);
      if (bytes_.size() - at < size) return;
      const std::string_view texts = base::as_text(bytes_).substr(at + sizeof member);
      if (!visit(CollectionMember{texts.substr(0, member.name_bytes),
                                  texts.substr(member.name_bytes, member.value_bytes),
                                  member.expires_ns})) {
        return;
      }
      at += size;
    }
  }

  /// The member with that name, without case; `found.name` is empty and so is its value if there
  /// is none or if it has expired. O(members).
  bool find(std::string_view name, std::uint64_t now_ns, CollectionMember& found) const {
    bool has = false;
    for_each([&](const CollectionMember& member) {
      if (member.name.size() != name.size() || !abi::equal_ignoring_case(member.name, name))
        return true;
      has = !member.expired(now_ns);
      if (has) found = member;
      return false;
    });
    return has;
  }

 private:
  base::Bytes bytes_;
};

}  // namespace sluice::rules
