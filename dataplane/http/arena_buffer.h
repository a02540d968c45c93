// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"

namespace sluice::http {

/// A growing array in an arena that others allocate from too. It grows in place while it is the
/// newest allocation, else by doubling into a copy: at most twice its final size is used. What it
/// grew out of comes back only with the arena's reset.
template <typename T>
class ArenaVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  void start(base::Arena& arena) {
    arena_ = &arena;
    items_ = nullptr;
    size_ = capacity_ = 0;
  }

  /// False when the arena is full; nothing changes then.
  [[nodiscard]] bool append(const T* items, std::size_t count) {
    if (count > capacity_ - size_ && !grow(size_ + count)) return false;
    if (count != 0) std::memcpy(items_ + size_, items, count * sizeof(T));
    size_ += count;
    return true;
  }
  /// Room for `capacity` items in all, so that none moves until then.
  [[nodiscard]] bool reserve(std::size_t capacity) {
    return capacity <= capacity_ || grow(capacity);
  }
  [[nodiscard]] bool push(const T& item) { return append(&item, 1); }
  void pop() { --size_; }
  void truncate(std::size_t size) { size_ = size; }
  /// Gives unused capacity back to the arena if nobody has allocated since.
  void trim() {
    if (capacity_ == size_ || !newest()) return;
    arena_->shrink_to(arena_->used() - (capacity_ - size_) * sizeof(T));
    capacity_ = size_;
    end_used_ = arena_->used();
  }

  T& operator[](std::size_t index) { return items_[index]; }
  const T& operator[](std::size_t index) const { return items_[index]; }
  T& back() { return items_[size_ - 1]; }
  T* data() { return items_; }
  const T* data() const { return items_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::string_view text() const requires(sizeof(T) == 1) {
    return {reinterpret_cast<const char*>(items_), size_};
  }

 private:
  static constexpr std::size_t kFirst = std::max<std::size_t>(64 / sizeof(T), 4);

  [[nodiscard]] bool newest() const { return items_ != nullptr && arena_->used() == end_used_; }

  bool grow(std::size_t needed) {
    const std::size_t capacity = std::max({needed, 2 * capacity_, kFirst});
    if (newest()) {
      if (!arena_->extend((capacity - capacity_) * sizeof(T))) return false;
    } else {
      T* const items = arena_->allocate_array<T>(capacity);
      if (items == nullptr) return false;
      if (size_ != 0) std::memcpy(items, items_, size_ * sizeof(T));
      items_ = items;
    }
    capacity_ = capacity;
    end_used_ = arena_->used();
    return true;
  }

  base::Arena* arena_ = nullptr;
  T* items_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0, end_used_ = 0;
};

using ArenaBuffer = ArenaVector<std::uint8_t>;

/// A set of 64-bit hashes in an arena: open addressing, at most five eighths full, growing
/// eightfold into a copy. For n hashes the last table has up to 13 * n words, all before it a
/// seventh of that. 0 stands for an empty place and cannot be inserted.
class ArenaHashSet {
 public:
  enum class Insert : std::uint8_t { kNew, kKnown, kFull };

  void start(base::Arena& arena) {
    arena_ = &arena;
    places_ = nullptr;
    capacity_ = count_ = 0;
  }

  /// kFull when the arena is. O(1) amortised.
  [[nodiscard]] Insert insert(std::uint64_t hash) {
    if (8 * (count_ + 1) > 5 * capacity_ && !grow()) return Insert::kFull;
    std::uint64_t& place = find(hash);
    if (place == hash) return Insert::kKnown;
    place = hash;
    ++count_;
    return Insert::kNew;
  }

 private:
  std::uint64_t& find(std::uint64_t hash) {
    std::size_t index = hash & (capacity_ - 1);
    while (places_[index] != 0 && places_[index] != hash) index = (index + 1) & (capacity_ - 1);
    return places_[index];
  }

  bool grow() {
    const std::size_t old_capacity = capacity_;
    const std::uint64_t* const old = places_;
    // An arena takes nothing back: in long steps the last table is most of what all of them take.
    const std::size_t capacity = capacity_ == 0 ? 32 : 8 * capacity_;
    auto* const places = arena_->allocate_array<std::uint64_t>(capacity);
    if (places == nullptr) return false;
    std::memset(places, 0, capacity * sizeof *places);
    places_ = places;
    capacity_ = capacity;
    for (std::size_t i = 0; i < old_capacity; ++i) {
      if (old[i] != 0) find(old[i]) = old[i];
    }
    return true;
  }

  base::Arena* arena_ = nullptr;
  std::uint64_t* places_ = nullptr;
  std::size_t capacity_ = 0, count_ = 0;
};

}  // namespace sluice::http
