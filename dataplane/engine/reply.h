// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/limits.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ulid.h"
#include "dataplane/engine/packet_port.h"
#include "dataplane/net/craft.h"
#include "dataplane/net/packet.h"

/// Answering in the server's place: the text, and a small TCP sender that delivers it and closes
/// the connection. Enforcement contract 5.
namespace sluice::engine {

struct ReplyContent {
  std::uint16_t status = 403;       ///< 200..599
  std::uint32_t retry_after_s = 0;  ///< of a 429
  base::Ulid event_id;
  bool without_body = false;  ///< the request was HEAD
};

/// Writes status line, headers and problem details (RFC 9457) into `buffer` of kReplyBytesMax.
/// Returns the bytes. interface.md, Replies to clients.
std::size_t compose_reply(base::MutableBytes buffer, const ReplyContent& content);

/// Sends one segment of our own making. The template names link header and addresses.
class SegmentSender {
 public:
  SegmentSender(const PacketPort& port, abi::WorkerCounters& counters)
      : port_(port), counters_(counters) {}
  /// False: no packet was to be had; the caller's timer tries again, or nobody does.
  bool send(const net::SegmentTemplate& direction, const net::SegmentFields& fields,
            std::uint16_t link, Side out);

 private:
  const PacketPort& port_;
  abi::WorkerCounters& counters_;
};

/// Where the connection stands when we take the server's place towards the client.
struct ReplyStart {
  net::SegmentTemplate to_client;
  std::uint16_t link = 0;
  Side client_side = Side::kOutside;
  std::uint32_t sequence = 0;        ///< end of the server bytes forwarded
  std::uint32_t acknowledgment = 0;  ///< end of the client bytes taken
  std::uint16_t window = 0;          ///< as the server last said it, scaled
  std::uint16_t mss = 536;           ///< the client's, without options (RFC 9293 section 3.7.1)
  bool timestamps = false;           ///< negotiated
  std::uint32_t timestamp_value = 0, timestamp_echo = 0;
  base::Nanos linger_ns = 0;
  std::uint64_t owner = 0;  ///< given back when the slot ends
};

using ReplySlot = std::uint32_t;
inline constexpr ReplySlot kNoReplySlot = 0xffffffff;

/// The pool of replies under way. One worker's.
class ReplyTable {
 public:
  static std::size_t memory_bytes(std::size_t slots);
  /// memory: memory_bytes(slots), zeroed, 64-byte aligned.
  ReplyTable(std::span<std::uint8_t> memory, std::size_t slots, SegmentSender& sender);
  ReplyTable(const ReplyTable&) = delete;
  ReplyTable& operator=(const ReplyTable&) = delete;

  /// Sends the reply with FIN behind it. kNoReplySlot: none free. O(reply).
  ReplySlot start(const ReplyStart& start, base::Bytes text, base::Nanos now);
  /// A segment of the client: takes its acknowledgement, acknowledges and discards its bytes. True:
  /// the connection is over, the slot is free again.
  bool on_client(ReplySlot slot, const net::ParsedPacket& packet, base::Nanos now);
  /// Retransmits or ends what is due among the next few slots. Returns the owner of a slot that
  /// ended, with RST to the client, or 0 when there is none (left): call until 0.
  std::uint64_t poll(base::Nanos now);
  /// Ends a slot without a word.
  void cancel(ReplySlot slot) { release(slot); }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] base::Nanos next_timer() const { return used_ == 0 ? ~base::Nanos{0} : next_; }

 private:
  struct Slot {
    ReplyStart start;
    base::Nanos started = 0, deadline = 0, resend_at = 0;
    std::uint32_t resend_ms = 0;
    std::uint32_t acked = 0;  ///< of the text, and 1 for FIN behind it
    std::uint32_t text_bytes = 0;
    std::uint32_t receive_next = 0;
    bool in_use = false, client_fin = false;
    std::array<std::uint8_t, abi::kReplyBytesMax> text;
  };

  void send_from(Slot& slot, base::Nanos now);
  void send_plain(Slot& slot, std::uint8_t flags, base::Nanos now);
  void fill_timestamps(const Slot& slot, net::SegmentFields& fields, base::Nanos now) const;
  void release(ReplySlot slot);

  Slot* slots_ = nullptr;
  std::uint32_t* free_ = nullptr;    ///< stack of free slots
  std::uint32_t* active_ = nullptr;  ///< dense list of slots in use
  std::uint32_t* place_ = nullptr;   ///< of each slot in active_
  std::size_t slot_count_, used_ = 0, cursor_ = 0;
  base::Nanos next_ = 0;
  std::size_t scanned_ = 0;
  SegmentSender& sender_;
};

}  // namespace sluice::engine
