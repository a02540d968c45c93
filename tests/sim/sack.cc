// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/sack.h"

#include <algorithm>

namespace sluice::sim {
namespace {

bool extend(SackList::Block& block, const SackList::Block& other) {
  if (other.first > block.second || block.first > other.second) return false;
  block = {std::min(block.first, other.first), std::max(block.second, other.second)};
  return true;
}

}  // namespace

void SackList::add(std::int64_t begin, std::int64_t end) {
  const Block made{begin, end};
  const auto known = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](Block& block) { return extend(block, made); });
  if (known == blocks_.end()) {
    if (blocks_.size() == kBlocksMax) blocks_.pop_back();
    blocks_.insert(blocks_.begin(), made);
    return;
  }
  std::rotate(blocks_.begin(), known, known + 1);
  for (std::size_t i = 1; i < blocks_.size();) {
    if (extend(blocks_[0], blocks_[i])) {
      blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void SackList::advance(std::int64_t next, bool queue_empty) {
  if (queue_empty) blocks_.clear();
  std::erase_if(blocks_, [&](const Block& block) { return block.first <= next; });
}

std::int64_t SackList::highest() const {
  std::int64_t highest = -1;
  for (const Block& block : blocks_) highest = std::max(highest, block.second);
  return highest;
}

void Scoreboard::forget_below(std::int64_t una) {
  std::erase_if(blocks_, [&](const SackList::Block& block) { return block.second <= una; });
}

std::int64_t Scoreboard::hole_end(std::int64_t offset, std::int64_t end) const {
  for (const SackList::Block& block : blocks_) {
    if (block.first > offset) end = std::min(end, block.first);
  }
  return end;
}

}  // namespace sluice::sim
