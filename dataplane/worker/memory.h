// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace sluice::worker {

/// Memory straight from the kernel, zeroed and touched, given back at the end of its life. Start-up
/// and the main thread only.
class Region {
 public:
  Region() = default;
  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  ~Region();

  /// Anonymous memory in huge pages if `huge` and if there are any, else in ordinary pages that the
  /// kernel may join. Aligned to a page. Error: not enough memory.
  static base::Result<Region> anonymous(std::size_t bytes, bool huge);
  /// The whole of a shared file. Creates it with `bytes` zero bytes if it is not there; a file of
  /// another size is an error.
  static base::Result<Region> shared_file(const std::string& path, std::size_t bytes);
  /// A new file of zero bytes under a new inode, not visible at `path` before rename_into_place().
  static base::Result<Region> new_shared_file(const std::string& path, std::size_t bytes);
  static base::Status rename_into_place(const std::string& path);

  [[nodiscard]] base::MutableBytes bytes() const { return {data_, size_}; }
  [[nodiscard]] bool in_huge_pages() const { return in_huge_pages_; }
  /// From now on a write is a fault.
  void make_read_only() const;

 private:
  static base::Result<Region> map_file(int fd, const std::string& path, std::size_t bytes);
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool in_huge_pages_ = false;
};

/// Makes `path` and its parents.
base::Status make_folders(const std::string& path);
/// The whole of a small file; empty if it cannot be read.
std::string read_small_file(const std::string& path);

}  // namespace sluice::worker
