// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// False if no segment is empty and none but the last byte ends in a dot: nothing to do, as for
/// nearly every honest path.
bool needs_work(Bytes input) {
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  if (in[size - 1] == '.') return true;
  std::uint32_t carry = 0;  // the byte before was a slash or a dot
  std::size_t i = 0;
  for (; i + kBlockBytes <= size; i += kBlockBytes) {
    const __m128i block = load_block(in + i);
    const std::uint32_t slash = mask_of(lanes_equal(block, '/'));
    const std::uint32_t either = slash | mask_of(lanes_equal(block, '.'));
    if ((slash & (either << 1 | carry)) != 0) return true;
    carry = either >> 15;
  }
  for (bool before = carry != 0; i < size; ++i) {
    if (in[i] == '/' && before) return true;
    before = in[i] == '/' || in[i] == '.';
  }
  return false;
}

/// The output of the segments so far, as the reference builds it: decisions fall at the last byte
/// of a segment and look back at what has been written.
class PathWriter {
 public:
  PathWriter(std::uint8_t* start, bool relative) : start_(start), relative_(relative) {}

  /// One segment without its slashes, not empty; `last`: nothing follows, not even a slash.
  void segment(Bytes bytes, bool last) {
    const std::size_t head = bytes.size() - 1;
    std::memcpy(start_ + used_, bytes.data(), head);
    used_ += head;
    if (bytes[head] != '.') {
      if (used_ > 0) hit_root_ = false;
    } else if (used_ > 0 && start_[used_ - 1] == '.') {
      if (!relative_ || (!hit_root_ && used_ > 2)) {
        back_reference(last);
        return;
      }
      hit_root_ = true;
    } else if (used_ == 0) {
      return;  // "." at the start of a relative path
    } else if (start_[used_ - 1] == '/') {
      if (!last) --used_;
      return;
    }
    start_[used_++] = bytes[head];
  }
  /// One or more slashes behind a segment, or at the start of an absolute path.
  void slash() {
    if (!relative_ || used_ != 0) start_[used_++] = '/';
  }
  std::uint8_t* finish(bool trailing) {
    if (!trailing && used_ > 0 && start_[used_ - 1] == '/') --used_;
    return start_ + used_;
  }

 private:
  /// Takes back the segment before; the first of the two dots has been written.
  void back_reference(bool last) {
    std::size_t to = used_ < 3 ? 0 : used_ - 3;
    while (to > 0 && start_[to] != '/') --to;
    if (to == 0) {
      hit_root_ = true;
      if (!relative_ && last) to = 1;
    }
    used_ = to;
  }

  std::uint8_t* start_;
  std::size_t used_ = 0;
  bool relative_;
  bool hit_root_ = false;  ///< a relative path has climbed above its start
};

}  // namespace

/// Drops empty segments and `.`, resolves `..`; keeps a leading `..` of relative paths, and a
/// trailing slash where there was one. As in the reference `...` acts like `.`, and a segment that
/// ends in two dots is dropped.
TransformResult normalize_path(Bytes input, Arena& arena) {
  if (input.empty() || !needs_work(input)) return unchanged(input);
  Output output(input, input.size() + 1, arena);
  if (output.full()) return arena_full();
  const std::size_t size = input.size();
  PathWriter writer(output.start(), input[0] != '/');
  for (std::size_t i = 0; i < size;) {
    if (input[i] == '/') {
      while (i < size && input[i] == '/') ++i;
      writer.slash();
      continue;
    }
    const std::size_t end = find_first<ByteSet<'/'>>(input, i);
    writer.segment(input.subspan(i, end - i), end == size);
    i = end;
  }
  return output.finish(writer.finish(input[size - 1] == '/'));
}

}  // namespace sluice::rules::detail
