// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/memory_pool.h"

#include <algorithm>

namespace sluice::rules {

bool Region::grow(std::size_t size) {
  constexpr std::size_t kUsualClass = 1;  // 16 KiB: most transactions need one
  const std::size_t wanted = size + sizeof(Header);
  const std::size_t index = std::max(MemoryPool::class_for(wanted), kUsualClass);
  if (index >= MemoryPool::kClasses || bytes_ + MemoryPool::bytes_of(index) > bytes_max_) {
    bound_hit_ = true;
    return false;
  }
  std::uint8_t* memory = pool_->take(index);
  if (memory == nullptr) {
    bound_hit_ = false;
    return false;
  }
  auto* header = reinterpret_cast<Header*>(memory);
  header->next = blocks_;
  header->index = index;
  blocks_ = header;
  bytes_ += MemoryPool::bytes_of(index);
  at_ = memory + sizeof(Header);
  end_ = memory + MemoryPool::bytes_of(index);
  base::poison(at_, static_cast<std::size_t>(end_ - at_));
  return true;
}

void Region::release() {
  while (blocks_ != nullptr) {
    Header* next = blocks_->next;
    pool_->give(reinterpret_cast<std::uint8_t*>(blocks_), blocks_->index);
    blocks_ = next;
  }
  at_ = end_ = nullptr;
  bytes_ = 0;
}

}  // namespace sluice::rules
