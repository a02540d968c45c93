// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/check.h"
#include "dataplane/base/poison.h"

namespace sluice::rules {

/// Blocks of five sizes cut out of one region of memory: the memory of all transactions of a
/// worker. A free block goes into the list of its size and stays of that size.
class MemoryPool {
 public:
  static constexpr std::size_t kClasses = 5;
  static constexpr std::size_t kSmallestBytes = 4096;  ///< each class is four times the one before
  static constexpr std::size_t kLargestBytes = kSmallestBytes << (2 * (kClasses - 1));

  explicit MemoryPool(std::span<std::uint8_t> memory) : memory_(memory) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { base::unpoison(memory_.data(), cut_); }

  /// The class of the smallest block with room for `bytes`; kClasses if there is none.
  static std::size_t class_for(std::size_t bytes) {
    std::size_t index = 0;
    while (index < kClasses && bytes_of(index) < bytes) ++index;
    return index;
  }
  static constexpr std::size_t bytes_of(std::size_t index) { return kSmallestBytes << (2 * index); }

  /// nullptr when neither the list nor the rest of the region has one. O(1).
  std::uint8_t* take(std::size_t index) {
    SLUICE_CHECK(index < kClasses);
    if (Block* block = free_[index]; block != nullptr) {
      free_[index] = block->next;
      base::unpoison(block, bytes_of(index));
      bytes_in_use_ += bytes_of(index);
      return reinterpret_cast<std::uint8_t*>(block);
    }
    if (memory_.size() - cut_ < bytes_of(index)) return nullptr;
    std::uint8_t* block = memory_.data() + cut_;
    cut_ += bytes_of(index);
    bytes_in_use_ += bytes_of(index);
    return block;
  }
  void give(std::uint8_t* memory, std::size_t index) {
    auto* block = reinterpret_cast<Block*>(memory);
    base::poison(memory, bytes_of(index));
    base::unpoison(block, sizeof(Block));
    block->next = free_[index];
    free_[index] = block;
    bytes_in_use_ -= bytes_of(index);
  }
  [[nodiscard]] std::size_t bytes_in_use() const { return bytes_in_use_; }

 private:
  struct Block {
    Block* next;
  };
  std::span<std::uint8_t> memory_;
  std::size_t cut_ = 0;
  std::size_t bytes_in_use_ = 0;
  std::array<Block*, kClasses> free_{};
};

/// Memory of one transaction: taken block by block, given back all at once.
class Region {
 public:
  /// `bytes_max`: bound of this transaction.
  void begin(MemoryPool& pool, std::size_t bytes_max) {
    pool_ = &pool;
    bytes_max_ = bytes_max;
    blocks_ = nullptr;
    at_ = end_ = nullptr;
    bytes_ = 0;
    bound_hit_ = false;
  }

  /// `alignment`: a power of two up to 64. nullptr when the bound is hit or the pool is empty.
  void* allocate(std::size_t size, std::size_t alignment = 8) {
    const std::size_t taken = size + base::kRedZoneBytes;
    auto start = (reinterpret_cast<std::uintptr_t>(at_) + alignment - 1) & ~(alignment - 1);
    if (start + taken > reinterpret_cast<std::uintptr_t>(end_)) {
      if (!grow(taken + alignment)) return nullptr;
      start = (reinterpret_cast<std::uintptr_t>(at_) + alignment - 1) & ~(alignment - 1);
    }
    at_ = reinterpret_cast<std::uint8_t*>(start + taken);
    auto* memory = reinterpret_cast<void*>(start);
    base::unpoison(memory, size);
    return memory;
  }
  template <typename T>
  T* allocate_array(std::size_t count) {
    // T may be a pointer: an array of pointers.
    // NOLINTNEXTLINE(bugprone-sizeof-expression)
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }
  /// Gives everything back.
  void release();
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// The last nullptr came from this transaction's bound, not from an empty pool.
  [[nodiscard]] bool bound_hit() const { return bound_hit_; }

 private:
  struct Header {
    Header* next;
    std::size_t index;
  };
  bool grow(std::size_t size);

  MemoryPool* pool_ = nullptr;
  Header* blocks_ = nullptr;
  std::uint8_t *at_ = nullptr, *end_ = nullptr;
  std::size_t bytes_ = 0, bytes_max_ = 0;
  bool bound_hit_ = false;
};

}  // namespace sluice::rules
