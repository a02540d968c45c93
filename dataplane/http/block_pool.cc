// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/block_pool.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::http {

void* BlockPool::allocate(std::size_t size) {
  if (size > (std::size_t{1} << 31)) return nullptr;
  const std::size_t bits =
      std::max<std::size_t>(std::bit_width(std::max<std::size_t>(size, 1) - 1), kClassFirstBits);
  const std::size_t size_class = bits - kClassFirstBits;
  if (Header* const reused = free_[size_class]; reused != nullptr) {
    free_[size_class] = reused->next_free;
    return reused + 1;
  }
  const std::size_t needed = sizeof(Header) + (std::size_t{1} << bits);
  auto* const header =
      needed > bytes_left_ ? nullptr : static_cast<Header*>(arena_->allocate(needed));
  if (header == nullptr) {
    full_ = true;
    return nullptr;
  }
  bytes_left_ -= needed;
  header->size_class = size_class;
  header->next_free = nullptr;
  return header + 1;
}

void* BlockPool::reallocate(void* block, std::size_t size) {
  if (block == nullptr) return allocate(size);
  const Header* const header = static_cast<Header*>(block) - 1;
  const std::size_t capacity = std::size_t{1} << (header->size_class + kClassFirstBits);
  if (size <= capacity) return block;
  void* const larger = allocate(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, capacity);
  release(block);
  return larger;
}

void BlockPool::release(void* block) {
  if (block == nullptr) return;
  Header* const header = static_cast<Header*>(block) - 1;
  header->next_free = free_[header->size_class];
  free_[header->size_class] = header;
}

}  // namespace sluice::http
