// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "dataplane/base/poison.h"

namespace sluice::base {

/// A bump allocator over memory that somebody else owns: allocation is an addition, release is
/// reset() of everything. Full returns nullptr, which callers turn into a named reason.
class Arena {
 public:
  /// What an allocation may take beside its size and alignment, where it has a gap before it.
  static constexpr std::size_t kGapBytesMax = 2 * kRedZoneBytes;

  Arena() = default;
  /// memory: borrowed until the arena is gone.
  explicit Arena(std::span<std::uint8_t> memory) : memory_(memory) {}
  Arena(Arena&& other) noexcept
      : memory_(std::exchange(other.memory_, {})),
        used_(std::exchange(other.used_, 0)),
        peak_(std::exchange(other.peak_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    if (this == &other) return *this;
    unpoison_all();
    memory_ = std::exchange(other.memory_, {});
    used_ = std::exchange(other.used_, 0);
    peak_ = std::exchange(other.peak_, 0);
    return *this;
  }
  ~Arena() { unpoison_all(); }

  /// `alignment`: a power of two. nullptr when full. A gap of base::kRedZoneBytes lies before it.
  [[nodiscard]] void* allocate(std::size_t size,
                               std::size_t alignment = alignof(std::max_align_t)) {
    const std::size_t start = (used_ + kRedZoneBytes + alignment - 1) & ~(alignment - 1);
    if (start > memory_.size() || memory_.size() - start < size) return nullptr;
    take(start, size);
    return memory_.data() + start;
  }
  /// Makes the newest allocation, which ends at used(), longer by `size`. False when full.
  [[nodiscard]] bool extend(std::size_t size) {
    if (memory_.size() - used_ < size) return false;
    take(used_, size);
    return true;
  }

  template <typename T>
  [[nodiscard]] T* allocate_array(std::size_t count) {
    if (count > memory_.size() / sizeof(T)) return nullptr;
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }

  /// Gives back the unused tail of the newest allocation, which ended at `used()`.
  void shrink_to(std::size_t used) {
    poison(memory_.data() + used, used_ - used);
    used_ = used;
  }
  void reset() { shrink_to(0); }
  /// Whether the byte lies in what is allocated.
  [[nodiscard]] bool contains(const void* byte) const {
    const auto at = reinterpret_cast<std::uintptr_t>(byte);
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_.data());
    return at >= begin && at - begin < used_;
  }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t peak() const { return peak_; }
  [[nodiscard]] std::size_t capacity() const { return memory_.size(); }

 private:
  void take(std::size_t start, std::size_t size) {
    poison(memory_.data() + used_, start - used_);
    used_ = start + size;
    if (used_ > peak_) peak_ = used_;
    unpoison(memory_.data() + start, size);
    poison(memory_.data() + used_, std::min(kRedZoneBytes, memory_.size() - used_));
  }
  /// What the owner of the memory does with it next is not this arena's.
  void unpoison_all() { unpoison(memory_.data(), std::min(peak_ + kRedZoneBytes, memory_.size())); }

  std::span<std::uint8_t> memory_;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace sluice::base
