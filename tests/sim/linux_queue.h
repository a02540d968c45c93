// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::sim {

/// Segments beyond a gap, as Linux keeps them: whole, by their first byte, each ending behind the
/// one before it. A segment within one that is there is dropped; one that covers others takes their
/// place; one that begins where another ends becomes a part of it; of what overlaps in part the
/// bytes of the segment that begins first are read.
class LinuxQueue {
 public:
  struct Segment {
    std::int64_t begin = 0;
    std::string bytes;
    bool fin = false;    ///< takes one number behind the bytes
    unsigned parts = 1;  ///< segments that have become this one
    [[nodiscard]] std::int64_t end() const {
      return begin + static_cast<std::int64_t>(bytes.size()) + (fin ? 1 : 0);
    }
  };

  void add(Segment segment);
  /// Takes out the first segment if it begins at or below `next`; false if there is none.
  bool pull(std::int64_t next, Segment& segment);
  void clear() { segments_.clear(); }
  [[nodiscard]] bool empty() const { return segments_.empty(); }
  /// True: which of two segments one became a part of, or whether it did, was by the shape of the
  /// kernel's tree or of its memory, which the model does not have.
  [[nodiscard]] bool unsure() const { return unsure_; }

 private:
  void join(Segment& before, Segment& segment);

  bool unsure_ = false;
  std::vector<Segment> segments_;
};

}  // namespace sluice::sim
