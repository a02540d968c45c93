// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/frame.h"
#include "tests/sim/linux_queue.h"
#include "tests/sim/oddities.h"
#include "tests/sim/reassembly.h"
#include "tests/sim/sack.h"

namespace sluice::sim {

using Nanos = std::uint64_t;
inline constexpr Nanos kMilli = 1'000'000, kSecond = 1'000'000'000;
inline constexpr Nanos kNever = ~Nanos{0};

/// What a receiving stack does with what it ought not to get. evasions.md (a): each of these was
/// measured or is documented of some stack.
struct Variant {
  enum class Overlap { kFirst, kLast, kFiller } overlap = Overlap::kFirst;
  enum class Reset { kExact, kInside, kIgnored, kAnywhere } reset = Reset::kExact;
  enum class Paws { kNone, kStrict, kLinux } paws = Paws::kStrict;
  enum class Ack { kNone, kNotAhead, kRfc5961 } ack = Ack::kRfc5961;
  bool checksum_ignored = false;
  bool urgent_cut = false;  ///< the urgent byte is taken out of the stream
  bool no_ack_taken = false;
  bool window_ignored = false;
  bool syn_data_taken = false;
  bool syn_fin_taken = false;
  bool syn_restarts = false;        ///< SYN inside a connection starts a new one
  bool second_syn_adopted = false;  ///< before the handshake ends
  bool bytes_behind_fin = false;
  bool fragments_last = false;   ///< later fragments win
  bool headers_ignored = false;  ///< any IPv6 extension header is skipped
  bool linux = false;            ///< as Linux 6 does: linux_receiver.cc, held against the real one

  static Variant honest() { return {}; }
  static Variant of_linux() {
    Variant variant;
    variant.linux = true;
    return variant;
  }
  static Variant draw(Random& random);
};

/// What one incarnation of a connection delivered to the application.
struct Delivered {
  std::uint32_t client_isn = 0, server_isn = 0;
  std::string bytes;
};

/// One TCP stack: sends a stream honestly, receives by its variant. Frames go to `outbox`.
class Endpoint {
 public:
  struct Options {
    bool is_client = true;
    std::uint32_t isn = 0;
    Variant variant;
    bool timestamps = true;
    int window_scale = 5;
    unsigned segment_bytes = 500;
    bool tiny_segments = false, resegment = false, keep_alive = false;
    bool joins = false;  ///< a retransmission is one segment, of all that fits
    bool zero_window = false;
    bool handshake_data = false;
    bool ipv6 = false, ip6_headers = false;
    bool sack = false, dsack = false;
    bool reneges = false;
    bool shadow = false;  ///< a real stack stands in this one's place, and is followed
    std::uint64_t seed = 1;
  };

  void start(const Options& options);
  /// The client's first SYN.
  void connect(Nanos now);
  void send(std::string_view bytes) { out_ += bytes; }
  void finish() { fin_wanted_ = true; }
  void on_frame(const Frame& frame, Nanos now);
  /// Sends what may be sent, and again what was not acknowledged in time.
  void work(Nanos now);
  [[nodiscard]] Nanos next_timer() const;
  /// Of a shadow: what the real stack has sent, by this one's own numbers.
  void follow(const Tcp& segment);
  /// True: Linux does more than one thing with a segment that came, by its version or by what the
  /// model does not have (LinuxQueue::unsure()).
  [[nodiscard]] bool unsure() const { return unsure_ || linux_queue_.unsure(); }

  std::vector<Frame> outbox;
  std::vector<Delivered> delivered;
  OddityCounts* counts = nullptr;

  [[nodiscard]] bool established() const { return state_ == State::kEstablished; }
  [[nodiscard]] bool dead() const { return state_ == State::kDead; }
  [[nodiscard]] bool all_acknowledged() const {
    return una_ == static_cast<std::int64_t>(out_.size()) + (fin_wanted_ ? 1 : 0);
  }
  [[nodiscard]] bool peer_finished() const { return peer_fin_taken_; }

  // For the attacker, who sits at the client's end.
  [[nodiscard]] std::int64_t una() const { return una_; }
  [[nodiscard]] std::int64_t nxt() const { return nxt_; }
  [[nodiscard]] std::int64_t taken() const { return rcv_; }
  [[nodiscard]] std::uint32_t isn() const { return isn_; }
  [[nodiscard]] std::uint32_t peer_isn() const { return peer_isn_; }
  [[nodiscard]] int peer_scale() const { return peer_scale_; }
  /// A sound segment of this end at `offset` of its stream.
  [[nodiscard]] Tcp segment_at(std::int64_t offset, std::string payload, Nanos now) const;
  [[nodiscard]] const std::string& stream() const { return out_; }

 private:
  enum class State { kClosed, kSynSent, kSynReceived, kEstablished, kDead };

  void emit(const Tcp& segment);
  void send_ack(Nanos now);
  void send_from(std::int64_t offset, std::int64_t end, Nanos now, bool joined = false);
  void on_closed(const Tcp& segment, Nanos now);
  void on_syn(const Tcp& segment, Nanos now);
  bool sound(const Tcp& segment, std::int64_t offset, Nanos now);
  void take_ack(const Tcp& segment, Nanos now);
  void take_data(const Tcp& segment, std::int64_t offset, Nanos now);
  void answer_data(Nanos now);
  void put_bytes(std::int64_t offset, std::string_view bytes);
  /// Is told of by the next acknowledgement.
  void note_duplicate(std::int64_t begin, std::int64_t end);
  void take_sack(const Tcp& segment);
  void send_hole(Nanos now);
  void renege();
  [[nodiscard]] Tcp syn_ack(Nanos now) const;
  void accept(const Tcp& syn);
  void arm(Nanos now);
  void open_window(Nanos now);
  /// Ends the connection; a server listens again, a client is through.
  void close();
  // linux_receiver.cc
  void on_segment_linux(const Tcp& segment, std::int64_t offset, Nanos now);
  bool opens_linux(const Tcp& segment, std::int64_t offset, Nanos now);
  void note_timestamp(std::uint32_t of_syn_ack);
  [[nodiscard]] bool echoes_another(const Tcp& segment) const;
  bool sound_linux(const Tcp& segment, std::int64_t offset, Nanos now);
  [[nodiscard]] bool foretold(const Tcp& segment, std::int64_t offset) const;
  bool take_ack_linux(const Tcp& segment, std::int64_t offset, Nanos now);
  void take_data_linux(const Tcp& segment, std::int64_t offset, Nanos now);
  void deliver(std::string_view bytes);
  [[nodiscard]] std::int64_t next() const { return rcv_ + (peer_fin_taken_ ? 1 : 0); }
  [[nodiscard]] bool too_old(const Tcp& segment, std::int32_t slack) const;
  void count(Oddity oddity) {
    if (counts != nullptr) ++(*counts)[static_cast<std::size_t>(oddity)];
  }
  [[nodiscard]] std::uint32_t clock(Nanos now) const {
    return static_cast<std::uint32_t>(now / kMilli) + ts_base_;
  }

  Options options_;
  Random random_{1};
  State state_ = State::kClosed;
  std::uint32_t isn_ = 0, peer_isn_ = 0, ts_base_ = 0, ts_recent_ = 0;
  bool timestamps_ = false;
  int peer_scale_ = 0, own_scale_ = 0;
  std::string out_;
  std::int64_t una_ = 0, nxt_ = 0, edge_ = 0;
  bool fin_wanted_ = false;
  Nanos rto_at_ = kNever, rto_ = 0, keep_alive_at_ = kNever, window_opens_ = 0;
  unsigned duplicate_acks_ = 0;
  // Receiving
  std::int64_t rcv_ = 0, peer_fin_ = -1;
  std::int64_t offered_ = 0;  ///< right edge of the window; never goes back
  bool peer_fin_taken_ = false;
  std::int64_t urgent_cut_ = -1;
  std::vector<std::int16_t> queue_;  ///< bytes by offset; -1: missing
  Reassembly fragments_;
  bool sack_ = false;
  SackList sack_list_;
  SackList::Block duplicate_{0, 0};
  Scoreboard scoreboard_;
  Random renege_random_{1}, header_random_{1};
  // Of Linux
  LinuxQueue linux_queue_;
  std::int64_t acknowledged_ = 0;             ///< the last acknowledgement that was sent
  std::int64_t max_window_ = 0;               ///< that the peer has ever offered
  std::uint16_t window_ = 0;                  ///< the peer's last, as it stood in its header
  std::int64_t window_seq_ = 0;               ///< of the segment that it stood in
  std::uint32_t first_ts_ = 0, last_ts_ = 0;  ///< that its SYN-ACK had, and when sent again
  bool unsure_ = false;
};

}  // namespace sluice::sim
