// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/abi/ruleset.h"
#include "dataplane/base/hash.h"

namespace sluice::rules {

class Ruleset;

/// Finds the TX slots of a ruleset by key, without case. Made when an image is opened: read-only
/// afterwards.
class SlotIndex {
 public:
  void build(const Ruleset& ruleset);

  /// Of a key without its case, under a random key of this ruleset. O(bytes), of long keys the
  /// first 128.
  [[nodiscard]] std::uint64_t hash(std::string_view key) const;
  /// The slot of a key with that hash, or kNone32. Expected O(1); nobody outside chooses slots.
  [[nodiscard]] std::uint32_t find(const Ruleset& ruleset, std::string_view key,
                                   std::uint64_t hash) const;
  /// The slots whose keys a regex selects, in order. For regexes that select members of TX.
  [[nodiscard]] const std::vector<std::uint16_t>& selected(std::uint32_t regex) const {
    return selected_[regex];
  }

 private:
  base::HashKey key_{};
  std::vector<std::uint16_t> table_;                  ///< open addressing; abi::kNone16: free
  std::vector<std::vector<std::uint16_t>> selected_;  ///< by regex
};

}  // namespace sluice::rules
