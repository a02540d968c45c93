// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/stream/segment_sink.h"

/// Handshakes in the making, apart from the connections: small entries in a table of fixed size, so
/// that a SYN flood costs nothing but the oldest handshakes (evasion TS21, RFC 4987). A connection
/// is made when the client's acknowledgement matches a SYN-ACK that was seen.
namespace sluice::stream {

class Connection;

/// What one end said in its SYN. evasions.md TO4, TO7: both must offer an option for it to count.
struct SynOptions {
  std::uint16_t mss = 536;  ///< RFC 9293 section 3.7.1: the default without the option
  std::uint16_t window = 0;
  std::uint8_t window_scale = 0;
  bool has_window_scale = false, sack = false, timestamps = false;
  std::uint32_t timestamp_value = 0;
};

/// A completed handshake: the start of a connection.
struct Handshake {
  std::uint32_t client_isn = 0, server_isn = 0;
  SynOptions client, server;
};

enum class HandshakeFate : std::uint8_t {
  kForward,   ///< a sound part of a handshake
  kDrop,      ///< with the reason
  kComplete,  ///< open() a connection (in place of the existing one), then give it this segment
  kPass,      ///< no part of a handshake: to the existing connection, else it is midstream
};

struct HandshakeOutcome {
  HandshakeFate fate = HandshakeFate::kPass;
  /// With kForward: a change that was made (kTcpSynData: data cut off a SYN; kTcpMss: a tiny
  /// segment size raised), or what monitor lets pass; else kNone.
  abi::Reason reason = abi::Reason::kNone;
  Handshake handshake;  ///< with kComplete
};

/// One worker's handshakes.
class HandshakeTable {
 public:
  static std::size_t memory_bytes(std::size_t entries_max);
  /// memory: memory_bytes(entries_max), aligned to 64, borrowed. entries_max is rounded up to a
  /// power of two of at least 8.
  HandshakeTable(std::span<std::uint8_t> memory, std::size_t entries_max);
  HandshakeTable(const HandshakeTable&) = delete;
  HandshakeTable& operator=(const HandshakeTable&) = delete;

  /// Judges a segment that may be part of a handshake. Call it for every segment with SYN, for
  /// every segment without an existing connection, and while existing->reopening(). hash: the flow
  /// table's, of key. May change the frame of a SYN: options, MSS, data (not in monitor). O(1).
  /// RFC 9293 section 3.5; evasions.md TS4-TS8, TS12-TS18.
  HandshakeOutcome on_segment(Direction direction, const flow::FlowKey& key, std::uint64_t hash,
                              Segment& segment, Connection* existing);

  /// Entries in use, expired ones included.
  [[nodiscard]] std::size_t size() const { return used_; }
  /// Handshakes displaced by newer ones before they were ten seconds old.
  [[nodiscard]] std::uint64_t displaced() const { return displaced_; }

 private:
  struct Entry;
  Entry* find(const flow::FlowKey& key, std::uint64_t hash, base::Nanos now);
  Entry& take(const flow::FlowKey& key, std::uint64_t hash, base::Nanos now);
  void free(Entry& entry);
  HandshakeOutcome on_syn(Direction direction, const flow::FlowKey& key, std::uint64_t hash,
                          Segment& segment, Connection* existing);
  HandshakeOutcome on_syn_ack(Direction direction, Entry* entry, Segment& segment,
                              const Connection* existing);
  HandshakeOutcome on_other(Direction direction, Entry& entry, Segment& segment,
                            const Connection* existing);

  Entry* entries_ = nullptr;
  std::size_t set_mask_ = 0;
  std::size_t used_ = 0;
  std::uint64_t displaced_ = 0;
};

}  // namespace sluice::stream
