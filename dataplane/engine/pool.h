// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include "dataplane/base/check.h"

namespace sluice::engine {

/// A fixed number of objects that are made once and used again and again. The one given back last
/// is taken first, so that a worker with little to do stays in its cache. T tells its own index by
/// a member `pool_index`.
template <typename T>
class Pool {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  static std::size_t memory_bytes(std::size_t count) {
    return count * (sizeof(T) + sizeof(std::uint32_t)) + alignof(T);
  }

  /// memory: memory_bytes(count), aligned for T, borrowed for the pool's lifetime.
  Pool(std::span<std::uint8_t> memory, std::size_t count) : count_(count), free_count_(count) {
    SLUICE_CHECK(memory.size() >= memory_bytes(count));
    items_ = reinterpret_cast<T*>(memory.data());
    free_ = reinterpret_cast<std::uint32_t*>(items_ + count);
    for (std::size_t i = 0; i < count; ++i) {
      new (items_ + i) T();
      items_[i].pool_index = static_cast<std::uint32_t>(i);
      free_[i] = static_cast<std::uint32_t>(count - 1 - i);
    }
  }
  ~Pool() {
    for (std::size_t i = 0; i < count_; ++i) items_[i].~T();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// nullptr: all are in use.
  [[nodiscard]] T* take() { return free_count_ == 0 ? nullptr : items_ + free_[--free_count_]; }
  void give(T& item) { free_[free_count_++] = item.pool_index; }
  [[nodiscard]] T& at(std::uint32_t index) { return items_[index]; }
  [[nodiscard]] std::size_t used() const { return count_ - free_count_; }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  T* items_ = nullptr;
  std::uint32_t* free_ = nullptr;
  std::size_t count_, free_count_;
};

}  // namespace sluice::engine
