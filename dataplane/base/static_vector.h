// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>

#include "dataplane/base/check.h"

namespace sluice::base {

/// A vector with its storage inside and a fixed capacity. push() says whether it fitted.
template <typename T, std::size_t kCapacity>
class StaticVector {
 public:
  [[nodiscard]] bool push(const T& value) {
    if (count_ == kCapacity) return false;
    items_[count_++] = value;
    return true;
  }
  void pop() {
    SLUICE_CHECK(count_ > 0);
    --count_;
  }
  void clear() { count_ = 0; }
  /// Removes item `index`, keeping the order of the others. O(count).
  void erase(std::size_t index) {
    SLUICE_CHECK(index < count_);
    for (std::size_t i = index + 1; i < count_; ++i) items_[i - 1] = items_[i];
    --count_;
  }

  T& operator[](std::size_t index) { return items_[index]; }
  const T& operator[](std::size_t index) const { return items_[index]; }
  T& back() { return items_[count_ - 1]; }
  T* begin() { return items_.data(); }
  T* end() { return items_.data() + count_; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + count_; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] bool full() const { return count_ == kCapacity; }

 private:
  std::array<T, kCapacity> items_{};
  std::size_t count_ = 0;
};

}  // namespace sluice::base
