// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/net/packet_ref.h"

namespace sluice::stream {

/// Sizes of one worker's pools. docs/limits.md says what each is for.
struct PoolSizes {
  /// Blocks of kBlockBytes: copies of bytes beyond a gap and of bytes not yet acknowledged.
  std::size_t blocks = 32 * 1024;
  /// Packets that wait for a verdict. They come out of the ports' pools: at most a quarter of those
  /// (evasion RX3).
  std::size_t held_packets = 8 * 1024;
};

/// The bounded memory of one worker's streams. Nothing is allocated after construction; an empty
/// pool makes the packet in hand be dropped with its reason, and TCP sends it again.
class Pools {
 public:
  static constexpr std::size_t kBlockBytes = 2048;
  static constexpr std::uint32_t kNone = 0xffffffff;

  static std::size_t memory_bytes(const PoolSizes& sizes);
  static std::size_t block_memory_bytes(const PoolSizes& sizes);
  static std::size_t held_memory_bytes(const PoolSizes& sizes);

  /// memory: memory_bytes(sizes), aligned to 64, borrowed for the pools' lifetime.
  Pools(std::span<std::uint8_t> memory, const PoolSizes& sizes);
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;

  /// A packet that waits, in the order of arrival.
  struct Held {
    net::PacketRef ref;
    std::int64_t begin, end;  ///< stream offsets of its payload
    std::uint32_t next;
    bool fin;
  };

  /// kNone when empty. Contents are undefined.
  [[nodiscard]] std::uint32_t take_block();
  void give_block(std::uint32_t index);
  [[nodiscard]] std::uint8_t* block(std::uint32_t index) {
    return blocks_ + std::size_t{index} * kBlockStride;
  }
  /// Which part of the stream a block holds: set by its owner.
  [[nodiscard]] std::uint32_t& block_number(std::uint32_t index) { return block_numbers_[index]; }

  [[nodiscard]] std::uint32_t take_held();
  void give_held(std::uint32_t index);
  [[nodiscard]] Held& held(std::uint32_t index) { return held_[index]; }

  [[nodiscard]] std::size_t blocks_free() const { return free_block_count_; }
  [[nodiscard]] std::size_t blocks_total() const { return sizes_.blocks; }
  [[nodiscard]] std::size_t held_free() const { return free_held_count_; }
  [[nodiscard]] std::size_t held_total() const { return sizes_.held_packets; }
  /// A quarter of the blocks is kept for bytes in order: a flood of segments beyond gaps cannot
  /// stop connections without gaps (evasion TD8).
  [[nodiscard]] std::size_t blocks_free_for_gaps() const {
    const std::size_t kept = sizes_.blocks / 4;
    return free_block_count_ > kept ? free_block_count_ - kept : 0;
  }

 private:
  static constexpr std::size_t kBlockStride = kBlockBytes + 2 * base::kRedZoneBytes;

  base::Arena arena_;
  PoolSizes sizes_;
  std::uint8_t* blocks_ = nullptr;
  std::uint32_t* block_numbers_ = nullptr;
  std::uint32_t* free_blocks_ = nullptr;
  std::size_t free_block_count_ = 0;
  Held* held_ = nullptr;
  std::uint32_t* free_held_ = nullptr;
  std::size_t free_held_count_ = 0;
};

}  // namespace sluice::stream
