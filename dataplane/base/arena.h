// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice::base {

/// A bump allocator over memory that somebody else owns: allocation is an addition, release is
/// reset() of everything. Full returns nullptr, which callers turn into a named reason.
class Arena {
 public:
  Arena() = default;
  explicit Arena(std::span<std::uint8_t> memory) : memory_(memory) {}

  /// `alignment`: a power of two. nullptr when full.
  [[nodiscard]] void* allocate(std::size_t size,
                               std::size_t alignment = alignof(std::max_align_t)) {
    const std::size_t start = (used_ + alignment - 1) & ~(alignment - 1);
    if (start > memory_.size() || memory_.size() - start < size) return nullptr;
    used_ = start + size;
    if (used_ > peak_) peak_ = used_;
    return memory_.data() + start;
  }

  template <typename T>
  [[nodiscard]] T* allocate_array(std::size_t count) {
    if (count > memory_.size() / sizeof(T)) return nullptr;
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }

  /// Gives back the unused tail of the newest allocation, which ended at `used()`.
  void shrink_to(std::size_t used) { used_ = used; }
  void reset() { used_ = 0; }
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
  std::span<std::uint8_t> memory_;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace sluice::base
