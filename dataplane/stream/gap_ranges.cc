// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/gap_ranges.h"

#include <algorithm>

namespace sluice::stream {

bool GapRanges::insert(std::int64_t begin, std::int64_t end) {
  std::uint32_t first = 0;
  while (first < count && ranges[first].end < begin) ++first;
  std::uint32_t last = first;  // ranges first..last-1 touch begin..end
  while (last < count && ranges[last].begin <= end) ++last;
  if (first == last) {
    if (count == abi::kOutOfOrderRangesMax) return false;
    std::copy_backward(ranges + first, ranges + count, ranges + count + 1);
    ranges[first] = {begin, end};
    ++count;
    return true;
  }
  ranges[first] = {std::min(begin, ranges[first].begin), std::max(end, ranges[last - 1].end)};
  std::copy(ranges + last, ranges + count, ranges + first + 1);
  count -= last - first - 1;
  return true;
}

bool GapRanges::fits(std::int64_t begin, std::int64_t end) const {
  return count < abi::kOutOfOrderRangesMax ||
         std::any_of(ranges, ranges + count,
                     [&](const Range& range) { return range.begin <= end && begin <= range.end; });
}

std::int64_t GapRanges::extend(std::int64_t offset) const {
  for (std::uint32_t i = 0; i < count && ranges[i].begin <= offset; ++i) {
    offset = std::max(offset, ranges[i].end);
  }
  return offset;
}

bool GapRanges::contains(std::int64_t begin, std::int64_t end) const {
  for (std::uint32_t i = 0; i < count && ranges[i].begin <= begin; ++i) {
    if (end <= ranges[i].end) return true;
  }
  return false;
}

void GapRanges::drop_below(std::int64_t offset) {
  std::uint32_t gone = 0;
  while (gone < count && ranges[gone].end <= offset) ++gone;
  std::copy(ranges + gone, ranges + count, ranges);
  count -= gone;
  if (count != 0) ranges[0].begin = std::max(ranges[0].begin, offset);
}

}  // namespace sluice::stream
