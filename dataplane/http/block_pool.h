// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/arena.h"

namespace sluice::http {

/// malloc for a library with allocator hooks, over an arena: blocks of power-of-two classes, freed
/// ones reused, at most `bytes_max` taken from the arena. All of it goes with the arena's reset.
/// Every operation is O(1) but the copy of reallocate().
class BlockPool {
 public:
  BlockPool(base::Arena& arena, std::size_t bytes_max) : arena_(&arena), bytes_left_(bytes_max) {}

  /// nullptr when the arena or the bound is used up; full() then stays true.
  [[nodiscard]] void* allocate(std::size_t size);
  [[nodiscard]] void* reallocate(void* block, std::size_t size);
  void release(void* block);
  [[nodiscard]] bool full() const { return full_; }

 private:
  static constexpr std::size_t kClassFirstBits = 5;  // 32 bytes
  static constexpr std::size_t kClasses = 32 - kClassFirstBits;
  struct Header {
    std::uint64_t size_class;
    Header* next_free;
  };
  static_assert(sizeof(Header) % alignof(std::max_align_t) == 0);

  base::Arena* arena_;
  std::size_t bytes_left_;
  std::array<Header*, kClasses> free_{};
  bool full_ = false;
};

}  // namespace sluice::http
