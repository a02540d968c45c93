// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstring>
#include <vector>

#include "dataplane/abi/ring.h"
#include "dataplane/base/check.h"

/// A ring whose memory a dying dataplane, or anybody, has scribbled on: the reader ends, and what
/// it hands out lies inside. Input: head and tail (8 bytes each), then the ring's bytes.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::abi;
  constexpr std::size_t kBytes = 1024;
  alignas(64) static RingHeader header;
  static std::vector<std::uint8_t> ring(kBytes);
  if (size < 16) return 0;
  std::uint64_t head = 0, tail = 0;
  std::memcpy(&head, data, 8);
  std::memcpy(&tail, data + 8, 8);
  // Most inputs should be near enough to be read at all.
  if ((data[0] & 1) != 0) head = tail + head % (2 * kBytes);
  std::memset(ring.data(), 0, kBytes);
  std::memcpy(ring.data(), data + 16, std::min(size - 16, kBytes));
  header.capacity = kBytes;
  header.head.store(head);
  header.tail.store(tail);
  RingReader reader(&header, ring.data(), kBytes);
  RingReader::Record record;
  for (int i = 0; reader.peek(record); ++i) {
    SLUICE_CHECK(i < 1000);
    SLUICE_CHECK(record.payload.empty() ||
                 (record.payload.data() >= ring.data() &&
                  record.payload.data() + record.payload.size() <= ring.data() + kBytes));
    reader.pop();
    if (i % 2 == 0) reader.release();
  }
  return 0;
}
