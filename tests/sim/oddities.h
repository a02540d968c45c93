// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::sim {

// X(enumerator, name, what happens)
#define SLUICE_ODDITIES(X)                                                                  \
  /* of the network and of honest stacks */                                                 \
  X(kLoss, "loss", "a frame is lost on a link")                                             \
  X(kReorder, "reorder", "a frame is overtaken")                                            \
  X(kDuplicate, "duplicate", "a frame arrives twice")                                       \
  X(kResegment, "resegment", "a retransmission has other borders")                          \
  X(kKeepAlive, "keep_alive", "a byte of garbage below the window")                         \
  X(kWindowProbe, "window_probe", "a byte into a closed window")                            \
  X(kZeroWindow, "zero_window", "the server closes its window for a while")                 \
  X(kSequenceWrap, "sequence_wrap", "numbers pass 2^32 or 2^31")                            \
  X(kTinySegments, "tiny_segments", "one to eight bytes a segment")                         \
  X(kSynResend, "syn_resend", "the same SYN again")                                         \
  X(kLateVerdict, "late_verdict", "the verdict comes later than its bytes")                 \
  X(kHandshakeData, "handshake_data", "data instead of the bare last acknowledgement")      \
  /* of an attacker at the client's end: from here on nothing need be delivered */          \
  X(kPlainAttack, "plain_attack", "a bad request in the stream")                            \
  X(kOverlapSent, "overlap_sent", "other bytes where bytes were sent")                      \
  X(kOverlapAhead, "overlap_ahead", "other bytes beyond what was sent")                     \
  X(kGapDecoy, "gap_decoy", "good bytes beyond a gap, then bad ones over them")             \
  X(kFiller, "filler", "a gap filled by a segment that disagrees with what lies beyond")    \
  X(kStraddle, "straddle", "other bytes from below the acknowledged on")                    \
  X(kOldGarbage, "old_garbage", "other bytes for what was acknowledged")                    \
  X(kBadChecksum, "bad_checksum", "a TCP checksum that is wrong")                           \
  X(kLowTtl, "low_ttl", "good bytes that die behind the appliance, then bad ones")          \
  X(kOutOfWindow, "out_of_window", "data far outside the window")                           \
  X(kAckAhead, "ack_ahead", "data that acknowledges what was never sent")                   \
  X(kAckOld, "ack_old", "data that acknowledges far below")                                 \
  X(kNoAck, "no_ack", "data without ACK")                                                   \
  X(kUrgent, "urgent", "urgent data")                                                       \
  X(kOldTimestamp, "old_timestamp", "data with an old timestamp")                           \
  X(kNewTimestamp, "new_timestamp", "data with a timestamp far ahead")                      \
  X(kRstExact, "rst_exact", "RST at the next byte, also one that dies on the way")          \
  X(kRstWindow, "rst_window", "RST somewhere in the window")                                \
  X(kRstAck, "rst_ack", "RST with a wrong acknowledgement")                                 \
  X(kFinDecoy, "fin_decoy", "a FIN that dies behind the appliance, then data")              \
  X(kFinAhead, "fin_ahead", "a FIN beyond a gap, then data over it")                        \
  X(kFinBadAck, "fin_bad_ack", "a FIN with a wrong acknowledgement")                        \
  X(kSynOther, "syn_other", "a second SYN with another number in the handshake")            \
  X(kSynEstablished, "syn_established", "SYN inside a connection, then data by its count")  \
  X(kSynData, "syn_data", "data on the SYN")                                                \
  X(kSynFin, "syn_fin", "SYN with FIN")                                                     \
  X(kClientSynAck, "client_syn_ack", "the client sends SYN-ACK")                            \
  X(kBadThird, "bad_third", "data with a wrong acknowledgement in the handshake")           \
  X(kServerSyn, "server_syn", "simultaneous open: the server sends SYN")                    \
  X(kServerEarly, "server_early", "server data before the handshake ends")                  \
  X(kServerAckAhead, "server_ack_ahead", "the server acknowledges what never reached it")   \
  X(kMidstream, "midstream", "data of a connection that nobody opened")                     \
  X(kVlan, "vlan", "a segment in another VLAN")                                             \
  X(kReuse, "reuse", "a new connection on the same ports after a reset")                    \
  X(kFragment, "fragment", "a segment in fragments")                                        \
  X(kFragmentOverlap, "fragment_overlap", "fragments that overlap with other bytes")        \
  /* drawn apart from those before, whose seeds mean what they meant: of honest stacks */   \
  X(kSack, "sack", "an acknowledgement that tells of bytes beyond a gap")                   \
  X(kDsack, "dsack", "an acknowledgement that tells of a duplicate")                        \
  X(kRenege, "renege", "the server drops what it has beyond a gap, also what it told of")   \
  X(kIpv6, "ipv6", "a connection over IPv6")                                                \
  X(kIp6Headers, "ip6_headers", "extension headers that every host skips")                  \
  /* of an attacker */                                                                      \
  X(kSackLie, "sack_lie", "data that tells of bytes that nobody sent")                      \
  X(kRstSack, "rst_sack", "RST at the end of what lies beyond a gap")                       \
  X(kIp6Odd, "ip6_odd", "data behind extension headers that hosts refuse")                  \
  X(kRstHandshake, "rst_handshake", "RST in the handshake, with data or wrong numbers")     \
  X(kRstData, "rst_data", "RST with data")                                                  \
  X(kNearThird, "near_third", "the handshake's end with a number that is nearly right")     \
  X(kFarBelow, "far_below", "data far below what was acknowledged")                         \
  X(kServerOdd, "server_odd", "a SYN-ACK of no SYN, or with data, or no ACK of the server") \
  /* and apart from these too; the first one is of honest stacks */                         \
  X(kSmallPools, "small_pools", "memory for a few segments of the connection alone")        \
  X(kUrgentPointer, "urgent_pointer", "urgent in the handshake, or a pointer alone")        \
  X(kSynScale, "syn_scale", "the same SYN with another window scale")                       \
  X(kFarThird, "far_third", "a handshake's end far ahead or without ACK, server data")      \
  X(kWideAhead, "wide_ahead", "data further ahead than copies are kept, in a wide window")  \
  X(kReuseSame, "reuse_same", "the connection's own SYN again, behind a reset")             \
  X(kReuseOld, "reuse_old", "a new SYN behind a reset, then data by the old numbers")       \
  X(kFinTwice, "fin_twice", "a FIN beyond a gap, and another one or data behind it")        \
  /* of honest stacks */                                                                    \
  X(kJoined, "joined", "a retransmission joins segments, and nothing is sent beside it")    \
  X(kLongBody, "long_body", "a body of more than 256 KiB, segments of up to 16,000 bytes")

enum class Oddity : std::uint8_t {
#define SLUICE_X(enumerator, name, meaning) enumerator,
  SLUICE_ODDITIES(SLUICE_X)
#undef SLUICE_X
      kCount
};
inline constexpr std::size_t kOddityCount = static_cast<std::size_t>(Oddity::kCount);
inline constexpr std::size_t kFirstHostile = static_cast<std::size_t>(Oddity::kPlainAttack);
inline constexpr std::size_t kDrawnApart = static_cast<std::size_t>(Oddity::kSack);
inline constexpr std::size_t kHostileApart = static_cast<std::size_t>(Oddity::kSackLie);
constexpr bool is_hostile(std::size_t oddity) {
  if (oddity == static_cast<std::size_t>(Oddity::kSmallPools) ||
      oddity >= static_cast<std::size_t>(Oddity::kJoined)) {
    return false;
  }
  return (oddity >= kFirstHostile && oddity < kDrawnApart) || oddity >= kHostileApart;
}

inline constexpr std::array<std::string_view, kOddityCount> kOddityNames = {
#define SLUICE_X(enumerator, name, meaning) name,
    SLUICE_ODDITIES(SLUICE_X)
#undef SLUICE_X
};

using OdditySet = std::bitset<kOddityCount>;
using OddityCounts = std::array<std::uint64_t, kOddityCount>;

/// A small generator that is the same everywhere (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 .. bound - 1; 0 for a bound of 0.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  std::uint64_t state_;
};

}  // namespace sluice::sim
