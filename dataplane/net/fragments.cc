// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/fragments.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/net/checksum.h"

namespace sluice::net {
namespace {

using abi::Reason;
using base::store_be16;

constexpr std::uint16_t kNil = 0xffff;
constexpr std::size_t kBlocksPerDatagram = 65536 / abi::kFragmentBlockBytes;
constexpr std::size_t kSources = 4096;  // counters, shared by sources of one hash
constexpr std::size_t kHeaderBytesMax = 22 + 40 + abi::kExtensionBytesMax + 8;
constexpr std::size_t kAssemblyBytes = 65536 + kHeaderBytesMax;
constexpr std::size_t kTombstoneWays = 4;

struct Piece {
  PacketRef ref;
  std::uint16_t offset;
  std::uint16_t bytes;
  bool more;
};

}  // namespace

/// Identifies a datagram. IPv4 tells datagrams apart by protocol too (RFC 791), IPv6 does not (RFC
/// 8200 section 4.5).
struct FragmentTable::Key {
  base::IpAddress source, destination;
  std::uint32_t id;
  std::uint32_t vlan_and_protocol;

  explicit Key(const ParsedPacket& packet)
      : source(packet.source),
        destination(packet.destination),
        id(packet.fragment_id),
        vlan_and_protocol(packet.vlan_key) {
    if (packet.network == NetworkLayer::kIpv4) {
      vlan_and_protocol |= static_cast<std::uint32_t>(packet.protocol) << 24;
    }
  }
  Key() = default;
  friend bool operator==(const Key&, const Key&) = default;
};

static_assert(sizeof(FragmentTable::Key) == 40, "hashed as bytes: no padding");

struct FragmentTable::Datagram {
  Key key;
  std::uint64_t hash;
  base::Nanos created;
  std::uint16_t chain_next;
  std::uint16_t older, newer;
  std::uint16_t piece_count;
  std::uint32_t end;           ///< of the whole datagram; 0: unknown
  std::uint32_t received;      ///< bytes
  std::uint16_t header_bytes;  ///< 0: the first fragment is missing
  std::uint16_t network_offset, next_field_offset;
  std::uint8_t fragment_next;
  bool is_v4;
  std::uint16_t blocks[kBlocksPerDatagram];
  std::uint8_t header[kHeaderBytesMax];
  Piece pieces[abi::kFragmentsMax];  ///< sorted by offset
};

/// What one source holds. Sources whose keyed hashes meet share a counter: never too generous.
struct FragmentTable::Source {
  std::uint32_t datagrams, blocks, packets;
};

struct FragmentTable::Tombstone {
  std::uint64_t hash;
  base::Nanos until;
};

std::size_t FragmentTable::memory_bytes(const FragmentLimits& limits) {
  const std::size_t buckets = std::bit_ceil(limits.datagrams * 2);
  return limits.datagrams * sizeof(Datagram) + buckets * sizeof(std::uint16_t) +
         kSources * sizeof(Source) + limits.tombstones * sizeof(Tombstone) +
         limits.blocks * (abi::kFragmentBlockBytes + sizeof(std::uint16_t)) + kAssemblyBytes +
         abi::kFragmentsMax * sizeof(PacketRef) + 10 * abi::kCacheLineBytes +
         8 * base::Arena::kGapBytesMax;
}

FragmentTable::FragmentTable(std::span<std::uint8_t> memory, const base::HashKey& key,
                             const FragmentLimits& limits)
    : limits_(limits), key_(key), oldest_(kNil), newest_(kNil) {
  SLUICE_CHECK(limits.datagrams > 0 && limits.datagrams < kNil && limits.blocks < kNil);
  SLUICE_CHECK(std::has_single_bit(limits.tombstones) && limits.tombstones >= kTombstoneWays);
  base::Arena arena(memory);
  const std::size_t buckets = std::bit_ceil(limits.datagrams * 2);
  bucket_mask_ = buckets - 1;
  block_bytes_ = static_cast<std::uint8_t*>(
      arena.allocate(limits.blocks * abi::kFragmentBlockBytes, abi::kCacheLineBytes));
  datagram_slots_ = arena.allocate_array<Datagram>(limits.datagrams);
  buckets_ = arena.allocate_array<std::uint16_t>(buckets);
  sources_ = arena.allocate_array<Source>(kSources);
  tombstones_ = arena.allocate_array<Tombstone>(limits.tombstones);
  free_blocks_ = arena.allocate_array<std::uint16_t>(limits.blocks);
  assembly_ = arena.allocate_array<std::uint8_t>(kAssemblyBytes);
  released_ = arena.allocate_array<PacketRef>(abi::kFragmentsMax);
  SLUICE_CHECK(block_bytes_ && datagram_slots_ && buckets_ && sources_ && tombstones_ &&
               free_blocks_ && assembly_ && released_);
  std::fill_n(buckets_, buckets, kNil);
  std::fill_n(sources_, kSources, Source{});
  std::fill_n(tombstones_, limits.tombstones, Tombstone{});
  for (std::size_t i = 0; i < limits.datagrams; ++i) {
    datagram_slots_[i].chain_next =
        i + 1 < limits.datagrams ? static_cast<std::uint16_t>(i + 1) : kNil;
  }
  free_block_count_ = limits.blocks;
  for (std::size_t i = 0; i < limits.blocks; ++i) free_blocks_[i] = static_cast<std::uint16_t>(i);
}

FragmentTable::Source& FragmentTable::source_of(const Key& key) {
  // An IPv6 host owns a /64 (evasion V6C).
  const base::IpAddress owner = base::mask_client(key.source, 32, 64);
  return sources_[base::keyed_hash64(key_, owner.bytes, 16) % kSources];
}

FragmentTable::Datagram* FragmentTable::find(const Key& key, std::uint64_t hash) {
  for (std::uint16_t at = buckets_[hash & bucket_mask_]; at != kNil;) {
    Datagram& datagram = datagram_slots_[at];
    if (datagram.hash == hash && datagram.key == key) return &datagram;
    at = datagram.chain_next;
  }
  return nullptr;
}

FragmentTable::Datagram* FragmentTable::create(const Key& key, std::uint64_t hash,
                                               base::Nanos now) {
  Source& source = source_of(key);
  if (free_head_ == kNil || source.datagrams >= limits_.datagrams_per_source) return nullptr;
  const std::uint16_t index = free_head_;
  Datagram& datagram = datagram_slots_[index];
  free_head_ = datagram.chain_next;
  datagram.key = key;
  datagram.hash = hash;
  datagram.created = now;
  datagram.piece_count = 0;
  datagram.end = datagram.received = 0;
  datagram.header_bytes = 0;
  std::fill_n(datagram.blocks, kBlocksPerDatagram, kNil);
  datagram.chain_next = buckets_[hash & bucket_mask_];
  buckets_[hash & bucket_mask_] = index;
  datagram.older = newest_;
  datagram.newer = kNil;
  (newest_ == kNil ? oldest_ : datagram_slots_[newest_].newer) = index;
  newest_ = index;
  ++source.datagrams;
  ++datagram_count_;
  return &datagram;
}

bool FragmentTable::same_bytes(const Datagram& datagram, const ParsedPacket& packet) const {
  const std::uint8_t* data = packet.frame.data() + packet.transport_offset;
  std::size_t position = packet.fragment_offset;
  std::size_t left = packet.fragment_bytes();
  while (left > 0) {
    const std::size_t inside = position % abi::kFragmentBlockBytes;
    const std::size_t step = std::min(left, abi::kFragmentBlockBytes - inside);
    const std::uint8_t* held = block(datagram.blocks[position / abi::kFragmentBlockBytes]) + inside;
    if (std::memcmp(held, data, step) != 0) return false;
    data += step;
    position += step;
    left -= step;
  }
  return true;
}

Reason FragmentTable::overlap(const Datagram& datagram, const ParsedPacket& packet,
                              std::size_t at) const {
  const std::uint32_t start = packet.fragment_offset;
  const std::uint32_t end = start + packet.fragment_bytes();
  if (at < datagram.piece_count) {
    const Piece& next = datagram.pieces[at];
    if (next.offset == start && next.bytes == end - start && next.more == packet.more_fragments &&
        same_bytes(datagram, packet)) {
      return Reason::kIpFragDup;
    }
    if (next.offset < end) return Reason::kIpFragOverlap;
  }
  if (at > 0) {
    const Piece& before = datagram.pieces[at - 1];
    if (std::uint32_t{before.offset} + before.bytes > start) return Reason::kIpFragOverlap;
  }
  return Reason::kNone;
}

/// Whether the fragment fits what is known. `at`: where it belongs among the pieces.
Reason FragmentTable::check(const Datagram& datagram, const ParsedPacket& packet,
                            std::size_t& at) const {
  const std::uint32_t end = packet.fragment_offset + packet.fragment_bytes();
  const Piece* first = datagram.pieces;
  const Piece* last = first + datagram.piece_count;
  at = static_cast<std::size_t>(std::lower_bound(first, last, packet.fragment_offset,
                                                 [](const Piece& piece, std::uint16_t offset) {
                                                   return piece.offset < offset;
                                                 }) -
                                first);
  if (datagram.piece_count > 0 && datagram.fragment_next != packet.fragment_next) {
    return Reason::kIpFragOverlap;  // two claims about the protocol
  }
  const Reason reason = overlap(datagram, packet, at);
  if (reason == Reason::kIpFragDup) return reason;
  if (datagram.end != 0 && (end > datagram.end || !packet.more_fragments ||
                            (end == datagram.end && packet.more_fragments))) {
    return Reason::kIpFragEnd;
  }
  if (!packet.more_fragments && datagram.piece_count > 0) {
    const Piece& far = last[-1];
    if (std::uint32_t{far.offset} + far.bytes > end) return Reason::kIpFragEnd;
  }
  if (reason != Reason::kNone) return reason;
  if (datagram.piece_count == abi::kFragmentsMax) return Reason::kIpFragCount;
  return Reason::kNone;
}

/// Gets the blocks that the fragment's bytes need; all or, when full, as many as there were: they
/// stay with the datagram, which the caller then drops.
bool FragmentTable::reserve(Datagram& datagram, const ParsedPacket& packet) {
  Source& source = source_of(datagram.key);
  if (packet_count_ >= limits_.packets || source.packets >= limits_.packets_per_source) {
    return false;
  }
  const std::size_t first = packet.fragment_offset / abi::kFragmentBlockBytes;
  const std::size_t last =
      (packet.fragment_offset + packet.fragment_bytes() - 1) / abi::kFragmentBlockBytes;
  for (std::size_t i = first; i <= last; ++i) {
    if (datagram.blocks[i] != kNil) continue;
    if (free_block_count_ == 0 || source.blocks >= limits_.blocks_per_source) return false;
    datagram.blocks[i] = free_blocks_[--free_block_count_];
    ++source.blocks;
  }
  return true;
}

void FragmentTable::store(Datagram& datagram, const ParsedPacket& packet, PacketRef ref,
                          std::size_t at) {
  const std::uint8_t* data = packet.frame.data() + packet.transport_offset;
  const std::uint32_t bytes = packet.fragment_bytes();
  std::size_t position = packet.fragment_offset;
  for (std::size_t left = bytes; left > 0;) {
    const std::size_t inside = position % abi::kFragmentBlockBytes;
    const std::size_t step = std::min(left, abi::kFragmentBlockBytes - inside);
    std::memcpy(block(datagram.blocks[position / abi::kFragmentBlockBytes]) + inside, data, step);
    data += step;
    position += step;
    left -= step;
  }
  std::copy_backward(datagram.pieces + at, datagram.pieces + datagram.piece_count,
                     datagram.pieces + datagram.piece_count + 1);
  datagram.pieces[at] = {ref, packet.fragment_offset, static_cast<std::uint16_t>(bytes),
                         packet.more_fragments};
  ++datagram.piece_count;
  datagram.received += bytes;
  datagram.fragment_next = packet.fragment_next;
  datagram.is_v4 = packet.network == NetworkLayer::kIpv4;
  if (!packet.more_fragments) datagram.end = packet.fragment_offset + bytes;
  if (packet.fragment_offset == 0) {
    datagram.header_bytes = packet.transport_offset;
    datagram.network_offset = packet.network_offset;
    datagram.next_field_offset = packet.fragment_next_offset;
    std::memcpy(datagram.header, packet.frame.data(), packet.transport_offset);
  }
  ++packet_count_;
  ++source_of(datagram.key).packets;
}

/// The whole datagram behind the headers of its first fragment; empty if it is too large.
base::Bytes FragmentTable::assemble(const Datagram& datagram) {
  std::size_t header = datagram.header_bytes;
  std::memcpy(assembly_, datagram.header, header);
  std::uint8_t* network = assembly_ + datagram.network_offset;
  if (!datagram.is_v4) {
    header -= 8;  // the fragment header goes
    assembly_[datagram.next_field_offset] = datagram.fragment_next;
  }
  const std::size_t network_bytes = header - datagram.network_offset + datagram.end;
  const std::size_t length = network_bytes - (datagram.is_v4 ? 0U : 40U);
  if (length > 65535) return {};
  if (datagram.is_v4) {
    store_be16(network + 2, static_cast<std::uint16_t>(length));
    store_be16(network + 6, 0);
    store_be16(network + 10, 0);
    store_be16(network + 10, checksum_of({network, header - datagram.network_offset}));
  } else {
    store_be16(network + 4, static_cast<std::uint16_t>(length));
  }
  for (std::size_t position = 0; position < datagram.end; position += abi::kFragmentBlockBytes) {
    std::memcpy(assembly_ + header + position,
                block(datagram.blocks[position / abi::kFragmentBlockBytes]),
                std::min(abi::kFragmentBlockBytes, datagram.end - position));
  }
  return {assembly_, header + datagram.end};
}

void FragmentTable::release(Datagram& datagram, FragmentResult& result) {
  const auto index = static_cast<std::uint16_t>(&datagram - datagram_slots_);
  Source& source = source_of(datagram.key);
  for (std::size_t i = 0; i < datagram.piece_count; ++i) released_[i] = datagram.pieces[i].ref;
  result.packets = {released_, datagram.piece_count};
  for (const std::uint16_t held : datagram.blocks) {
    if (held == kNil) continue;
    free_blocks_[free_block_count_++] = held;
    --source.blocks;
  }
  packet_count_ -= datagram.piece_count;
  source.packets -= datagram.piece_count;
  --source.datagrams;
  --datagram_count_;
  std::uint16_t* link = &buckets_[datagram.hash & bucket_mask_];
  while (*link != index) link = &datagram_slots_[*link].chain_next;
  *link = datagram.chain_next;
  (datagram.older == kNil ? oldest_ : datagram_slots_[datagram.older].newer) = datagram.newer;
  (datagram.newer == kNil ? newest_ : datagram_slots_[datagram.newer].older) = datagram.older;
  datagram.chain_next = free_head_;
  free_head_ = index;
}

void FragmentTable::bury(std::uint64_t hash, base::Nanos now) {
  Tombstone* set =
      tombstones_ + (hash >> 32 & (limits_.tombstones / kTombstoneWays - 1)) * kTombstoneWays;
  Tombstone* chosen = set;
  for (std::size_t i = 0; i < kTombstoneWays; ++i) {
    if (set[i].hash == hash) {
      chosen = set + i;
      break;
    }
    if (set[i].until < chosen->until) chosen = set + i;
  }
  *chosen = {hash, now + limits_.tombstone_ns};
}

bool FragmentTable::buried(std::uint64_t hash, base::Nanos now) const {
  const Tombstone* set =
      tombstones_ + (hash >> 32 & (limits_.tombstones / kTombstoneWays - 1)) * kTombstoneWays;
  for (std::size_t i = 0; i < kTombstoneWays; ++i) {
    if (set[i].hash == hash && set[i].until > now) return true;
  }
  return false;
}

FragmentResult FragmentTable::drop(Datagram* datagram, std::uint64_t hash, Reason reason,
                                   base::Nanos now) {
  FragmentResult result{FragmentOutcome::kDropped, reason, {}, {}};
  if (datagram != nullptr) release(*datagram, result);
  bury(hash, now);
  return result;
}

FragmentResult FragmentTable::add(const ParsedPacket& packet, PacketRef ref, base::Nanos now) {
  const Key key(packet);
  const std::uint64_t hash = base::keyed_hash64(key_, &key, sizeof key);
  Datagram* datagram = find(key, hash);
  if (datagram != nullptr && now - datagram->created >= limits_.timeout_ns) {
    return drop(datagram, hash, Reason::kIpFragTimeout, now);
  }
  if (datagram == nullptr) {
    if (buried(hash, now)) return {FragmentOutcome::kDropped, Reason::kIpFragTimeout, {}, {}};
    datagram = create(key, hash, now);
    if (datagram == nullptr) return {FragmentOutcome::kDropped, Reason::kIpFragFull, {}, {}};
  }
  std::size_t at = 0;
  const bool sound = packet.is_fragment && packet.fragment_bytes() != 0 &&
                     packet.transport_offset <= kHeaderBytesMax &&
                     packet.fragment_offset + packet.fragment_bytes() <= 65535;
  const Reason reason = sound ? check(*datagram, packet, at) : Reason::kIpFragBig;
  if (reason == Reason::kIpFragDup) return {FragmentOutcome::kDropped, reason, {}, {}};
  if (reason != Reason::kNone) return drop(datagram, hash, reason, now);
  if (!reserve(*datagram, packet)) return drop(datagram, hash, Reason::kIpFragFull, now);
  store(*datagram, packet, ref, at);
  if (datagram->end == 0 || datagram->received != datagram->end) return {};
  FragmentResult result{FragmentOutcome::kComplete, Reason::kNone, assemble(*datagram), {}};
  release(*datagram, result);
  if (!result.datagram.empty()) return result;
  // Too large only with the first fragment's headers. The newest packet is the caller's anyway.
  result.outcome = FragmentOutcome::kDropped;
  result.reason = Reason::kIpFragBig;
  std::size_t kept = 0;
  for (const PacketRef piece : result.packets) {
    if (!(piece == ref)) released_[kept++] = piece;
  }
  result.packets = {released_, kept};
  bury(hash, now);
  return result;
}

FragmentResult FragmentTable::poison(const ParsedPacket& packet, Reason reason, base::Nanos now) {
  const Key key(packet);
  const std::uint64_t hash = base::keyed_hash64(key_, &key, sizeof key);
  return drop(find(key, hash), hash, reason, now);
}

bool FragmentTable::expire(base::Nanos now, FragmentResult& result) {
  result = {FragmentOutcome::kDropped, Reason::kIpFragTimeout, {}, {}};
  if (oldest_ == kNil) return false;
  Datagram& datagram = datagram_slots_[oldest_];
  if (now - datagram.created < limits_.timeout_ns) return false;
  bury(datagram.hash, now);
  release(datagram, result);
  return true;
}

std::uint64_t fragment_hash(const base::HashKey& key, const ParsedPacket& packet) {
  struct {
    base::IpAddress source, destination;
    std::uint64_t id;
  } named{packet.source, packet.destination, packet.fragment_id};
  return base::keyed_hash64(key, &named, sizeof named);
}

}  // namespace sluice::net
