// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "controlplane/publish/control_segment.h"
#include "dataplane/abi/segments.h"

namespace sluice::test {

/// The dataplane's end of the shared memory, without packets: makes its segment under a new inode,
/// answers announced generations from a thread, and gives tests the writers of its rings.
class DataplaneSide {
 public:
  struct Options {
    std::uint32_t workers = 2;
    std::size_t ring_bytes = 1 << 16;
    bool answers = true;
    /// What to answer to an image's bytes; kNone accepts.
    std::function<abi::ImageError(std::string_view)> judge;
    std::uint64_t live = 0;  ///< found on its disk at the start
  };
  DataplaneSide(const std::string& shm, Options options);
  ~DataplaneSide();  ///< stops cleanly
  void die();        ///< as kill -9: the segment stays, nobody moves it on

  abi::DataplaneSegment& segment() { return *segment_; }
  abi::WorkerCounters& counters(std::size_t worker);
  /// ring: 0 verdict, 1 http.
  abi::RingWriter& ring(std::size_t worker, std::size_t ring) { return *rings_[worker * 2 + ring]; }
  /// Writes a record with the given fields. False: dropped.
  bool write(std::size_t worker, std::size_t ring, abi::RecordType type, abi::EventHeader header,
             const std::vector<std::pair<abi::EventFieldId, std::string>>& fields);

 private:
  void run(publish::ControlSegment control);
  std::string shm_;
  Options options_;
  publish::Mapping mapping_;
  abi::DataplaneSegment* segment_ = nullptr;
  std::vector<std::unique_ptr<abi::RingWriter>> rings_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// A folder of its own, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// An image whose header is right and whose body is `body`.
std::string make_image(std::uint64_t generation, std::string_view body);

}  // namespace sluice::test
