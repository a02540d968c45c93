// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/net/packet.h"
#include "dataplane/net/packet_ref.h"

/// Fragments of one worker, kept until their datagram is whole. Nothing leaves before: a receiver
/// never holds a piece of what is forgotten or refused here. Overlap is never resolved, it drops
/// the datagram (RFC 5722), so no receiver's policy matters. evasions.md V48-V58, V61-V6B.
namespace sluice::net {

struct FragmentLimits {
  std::size_t datagrams = abi::kFragmentDatagramsMax;  ///< at most 65534
  std::size_t blocks = abi::kFragmentBlocks;           ///< at most 65534
  std::size_t packets = abi::kFragmentPacketsMax;
  std::size_t tombstones = abi::kFragmentTombstones;  ///< a power of two, at least 4
  std::size_t datagrams_per_source = abi::kFragmentDatagramsPerSource;
  std::size_t blocks_per_source = abi::kFragmentBlocksPerSource;
  std::size_t packets_per_source = abi::kFragmentPacketsPerSource;
  base::Nanos timeout_ns = abi::kFragmentTimeoutNs;
  base::Nanos tombstone_ns = abi::kFragmentTombstoneNs;
};

enum class FragmentOutcome : std::uint8_t {
  kHeld,      ///< the packet is the table's now
  kComplete,  ///< `datagram` is whole; `packets` are the caller's again, this one among them
  kDropped,   ///< the packet stays the caller's, to be freed; so are `packets`, the earlier pieces
};

struct FragmentResult {
  FragmentOutcome outcome = FragmentOutcome::kHeld;
  abi::Reason reason = abi::Reason::kNone;
  /// A frame that parse() reads as if it had never been fragmented. Until the next call.
  base::Bytes datagram = {};
  /// In the order of their offsets. Until the next call.
  std::span<const PacketRef> packets = {};
};

/// One worker's table. No allocation after construction.
class FragmentTable {
 public:
  /// What `memory` must hold.
  static std::size_t memory_bytes(const FragmentLimits& limits = {});

  /// memory: at least memory_bytes(limits), aligned to 64, borrowed for the table's lifetime.
  FragmentTable(std::span<std::uint8_t> memory, const base::HashKey& key,
                const FragmentLimits& limits = {});
  FragmentTable(const FragmentTable&) = delete;
  FragmentTable& operator=(const FragmentTable&) = delete;

  /// Takes one fragment that classify() sent to reassembly. Copies its data. now: never decreasing.
  /// O(bytes of the fragment + 64); O(datagram) when it completes.
  FragmentResult add(const ParsedPacket& packet, PacketRef ref, base::Nanos now);

  /// Drops the datagram that `packet` belongs to and remembers its id: for a fragment that
  /// classify() dropped as malformed (kIpFragLen, kIpFragEmpty, ...), not for one that no receiver
  /// would take (a wrong checksum). Returns kDropped with the pieces to free.
  FragmentResult poison(const ParsedPacket& packet, abi::Reason reason, base::Nanos now);

  /// Ends at most one datagram that is older than the timeout. False: none is. The pieces to free
  /// are in `result`. Call it until false or until the poll's budget is spent.
  bool expire(base::Nanos now, FragmentResult& result);

  [[nodiscard]] std::size_t datagrams() const { return datagram_count_; }
  [[nodiscard]] std::size_t packets() const { return packet_count_; }
  [[nodiscard]] std::size_t blocks_used() const { return limits_.blocks - free_block_count_; }

  struct Datagram;  // in fragments.cc
  struct Source;
  struct Tombstone;
  struct Key;

 private:
  Datagram* find(const Key& key, std::uint64_t hash);
  Datagram* create(const Key& key, std::uint64_t hash, base::Nanos now);
  abi::Reason check(const Datagram& datagram, const ParsedPacket& packet, std::size_t& at) const;
  abi::Reason overlap(const Datagram& datagram, const ParsedPacket& packet, std::size_t at) const;
  bool same_bytes(const Datagram& datagram, const ParsedPacket& packet) const;
  bool reserve(Datagram& datagram, const ParsedPacket& packet);
  void store(Datagram& datagram, const ParsedPacket& packet, PacketRef ref, std::size_t at);
  base::Bytes assemble(const Datagram& datagram);
  FragmentResult drop(Datagram* datagram, std::uint64_t hash, abi::Reason reason, base::Nanos now);
  void release(Datagram& datagram, FragmentResult& result);
  void bury(std::uint64_t hash, base::Nanos now);
  bool buried(std::uint64_t hash, base::Nanos now) const;
  Source& source_of(const Key& key);
  std::uint8_t* block(std::uint16_t index) {
    return block_bytes_ + index * abi::kFragmentBlockBytes;
  }
  const std::uint8_t* block(std::uint16_t index) const {
    return block_bytes_ + index * abi::kFragmentBlockBytes;
  }

  FragmentLimits limits_;
  const base::HashKey& key_;
  Datagram* datagram_slots_ = nullptr;
  std::uint16_t* buckets_ = nullptr;  ///< first datagram of each chain
  std::size_t bucket_mask_ = 0;
  Source* sources_ = nullptr;
  Tombstone* tombstones_ = nullptr;
  std::uint8_t* block_bytes_ = nullptr;
  std::uint16_t* free_blocks_ = nullptr;
  std::size_t free_block_count_ = 0;
  std::uint8_t* assembly_ = nullptr;
  PacketRef* released_ = nullptr;  ///< kFragmentsMax
  std::uint16_t free_head_ = 0;
  std::uint16_t oldest_, newest_;  ///< by creation, linked through Datagram
  std::size_t datagram_count_ = 0;
  std::size_t packet_count_ = 0;
};

/// Names the worker that joins the fragments of one datagram: equal for all of them. Keyed.
std::uint64_t fragment_hash(const base::HashKey& key, const ParsedPacket& packet);

}  // namespace sluice::net
