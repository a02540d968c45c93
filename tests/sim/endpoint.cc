// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/endpoint.h"

#include <algorithm>

namespace sluice::sim {
namespace {

constexpr Nanos kRtoMin = 200 * kMilli, kRtoMax = 1600 * kMilli;
constexpr std::int64_t kWindowBytes = 30000;
constexpr std::uint8_t kSkipped = 0x1e;  ///< an option of experiments that is skipped (RFC 4727)
constexpr std::size_t kSackBlocksMax = 4;
constexpr std::int64_t kAgainBytes = 4000, kJoinedBytes = 1300;
constexpr std::size_t kEthernetBytes = 1500;

}  // namespace

Variant Variant::draw(Random& random) {
  Variant variant;
  variant.overlap = static_cast<Overlap>(random.below(3));
  variant.reset = static_cast<Reset>(random.below(4));
  variant.paws = static_cast<Paws>(random.below(3));
  variant.ack = static_cast<Ack>(random.below(3));
  for (bool* oddity : {&variant.checksum_ignored, &variant.urgent_cut, &variant.no_ack_taken,
                       &variant.window_ignored, &variant.syn_data_taken, &variant.syn_fin_taken,
                       &variant.syn_restarts, &variant.second_syn_adopted,
                       &variant.bytes_behind_fin, &variant.fragments_last}) {
    *oddity = random.chance(50);
  }
  variant.headers_ignored = random.chance(50);
  return variant;
}

void Endpoint::start(const Options& options) {
  OddityCounts* kept = counts;
  *this = Endpoint();
  counts = kept;
  options_ = options;
  random_ = Random(options.seed);
  renege_random_ = Random(options.seed ^ 0x111);
  header_random_ = Random(options.seed ^ 0x222);
  isn_ = options.isn;
  ts_base_ = static_cast<std::uint32_t>(random_.next());
  rto_ = kRtoMin;
}

void Endpoint::emit(const Tcp& segment) {
  if (segment.has(kSyn) && segment.has(kAck) && !options_.shadow) note_timestamp(segment.ts_value);
  if (segment.payload.size() > kEthernetBytes) count(Oddity::kLongBody);
  if (!options_.ip6_headers || !header_random_.chance(30)) {
    outbox.push_back(write_frame(segment));
    return;
  }
  count(Oddity::kIp6Headers);
  Tcp longer = segment;
  if (header_random_.chance(30)) longer.headers.push_back({Ip6Header::kHopByHop, kSkipped});
  if (header_random_.chance(30)) longer.headers.push_back({Ip6Header::kRouting, 0});
  const std::uint64_t more = header_random_.below(6);
  while (longer.headers.size() <= more) {
    longer.headers.push_back({Ip6Header::kDestination, kSkipped});
  }
  outbox.push_back(write_frame(longer));
}

Tcp Endpoint::segment_at(std::int64_t offset, std::string payload, Nanos now) const {
  Tcp segment;
  segment.to_server = options_.is_client;
  segment.ipv6 = options_.ipv6;
  segment.seq = isn_ + 1 + static_cast<std::uint32_t>(offset);
  segment.ack = peer_isn_ + 1 + static_cast<std::uint32_t>(next());
  segment.window =
      static_cast<std::uint16_t>(std::max<std::int64_t>(offered_ - rcv_, 0) >> own_scale_);
  segment.flags = kAck | (payload.empty() ? 0 : kPsh);
  segment.timestamps = timestamps_;
  segment.ts_value = clock(now);
  segment.ts_echo = ts_recent_;
  segment.payload = std::move(payload);
  for (const auto& [begin, end] : sack_list_.blocks()) {
    if (!sack_ || segment.sack.size() == kSackBlocksMax - (timestamps_ ? 1 : 0)) break;
    segment.sack.emplace_back(peer_isn_ + 1 + static_cast<std::uint32_t>(begin),
                              peer_isn_ + 1 + static_cast<std::uint32_t>(end));
  }
  return segment;
}

/// The window opens as the application reads, unless it rests for a while; it never shrinks.
void Endpoint::open_window(Nanos now) {
  const std::int64_t window = options_.zero_window ? 700 : kWindowBytes;
  if (now >= window_opens_ && !options_.shadow) offered_ = std::max(offered_, rcv_ + window);
}

void Endpoint::send_ack(Nanos now) {
  Tcp segment = segment_at(nxt_, "", now);
  if (!segment.sack.empty()) count(Oddity::kSack);
  if (duplicate_.first != duplicate_.second) {
    // RFC 2883: the duplicate stands first.
    count(Oddity::kDsack);
    if (segment.sack.size() == kSackBlocksMax - (timestamps_ ? 1 : 0)) segment.sack.pop_back();
    segment.sack.emplace(segment.sack.begin(),
                         peer_isn_ + 1 + static_cast<std::uint32_t>(duplicate_.first),
                         peer_isn_ + 1 + static_cast<std::uint32_t>(duplicate_.second));
    duplicate_ = {0, 0};
  }
  emit(segment);
}

void Endpoint::note_duplicate(std::int64_t begin, std::int64_t end) {
  if (sack_ && options_.dsack) duplicate_ = {begin, end};
}

Tcp Endpoint::syn_ack(Nanos now) const {
  Tcp answer = segment_at(-1, "", now);
  answer.flags = kSyn | kAck;
  answer.mss = 1400;
  answer.window = static_cast<std::uint16_t>(offered_);
  answer.window_scale = own_scale_ != 0 ? own_scale_ : -1;
  answer.sack_permitted = sack_;
  return answer;
}

void Endpoint::connect(Nanos now) {
  state_ = State::kSynSent;
  Tcp syn;
  syn.to_server = true;
  syn.ipv6 = options_.ipv6;
  syn.sack_permitted = options_.sack;
  syn.seq = isn_;
  syn.flags = kSyn;
  syn.mss = 1400;
  syn.window_scale = options_.window_scale;
  syn.timestamps = options_.timestamps;
  syn.ts_value = clock(now);
  emit(syn);
  arm(now);
}

void Endpoint::arm(Nanos now) {
  rto_at_ = now + rto_;
  rto_ = std::min(rto_ * 2, kRtoMax);
}

Nanos Endpoint::next_timer() const {
  if (state_ == State::kDead) return kNever;
  Nanos next = std::min(rto_at_, keep_alive_at_);
  if (window_opens_ != 0) next = std::min(next, window_opens_);
  return next;
}

/// Sends stream bytes in segments, or joined in one; the FIN with or behind the last of them.
void Endpoint::send_from(std::int64_t offset, std::int64_t end, Nanos now, bool joined) {
  const auto size = static_cast<std::int64_t>(out_.size());
  while (offset < end || (offset == size && fin_wanted_ && end > size)) {
    std::int64_t bytes = joined ? end - offset : random_.between(1, options_.segment_bytes);
    if (options_.tiny_segments && !joined && random_.chance(40)) {
      bytes = random_.between(1, 8);
      count(Oddity::kTinySegments);
    }
    bytes = std::min({bytes, end - offset, size - offset});
    Tcp segment = segment_at(
        offset, out_.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes)),
        now);
    offset += bytes;
    const bool fin = offset == size && fin_wanted_ && end > size;
    if (fin) segment.flags |= kFin;
    emit(segment);
    if (fin) ++offset;
    nxt_ = std::max(nxt_, offset);
    if (fin) return;
  }
}

void Endpoint::work(Nanos now) {
  if (state_ == State::kDead || state_ == State::kClosed || options_.shadow) return;
  if (window_opens_ != 0 && now >= window_opens_) {
    window_opens_ = 0;
    open_window(now);
    send_ack(now);
  }
  if (state_ == State::kSynSent || state_ == State::kSynReceived) {
    if (now < rto_at_) return;
    count(Oddity::kSynResend);
    if (state_ == State::kSynSent) {
      connect(now);
    } else {
      emit(syn_ack(now));
      arm(now);
    }
    return;
  }
  const std::int64_t end = static_cast<std::int64_t>(out_.size()) + (fin_wanted_ ? 1 : 0);
  if (una_ < nxt_ && now >= rto_at_) {
    // Everything again, with other borders or the old ones, also what the peer told of.
    scoreboard_.clear();
    if (options_.resegment) {
      count(Oddity::kResegment);
      random_ = Random(random_.next());
    }
    if (options_.joins) {
      count(Oddity::kJoined);
      send_from(una_, std::min(nxt_, una_ + kJoinedBytes), now, true);
    } else {
      send_from(una_, std::min(nxt_, una_ + kAgainBytes), now);
    }
    arm(now);
  } else if (nxt_ < end && nxt_ < edge_) {
    const bool idle = una_ == nxt_;
    send_from(nxt_, std::min(end, edge_), now);
    if (idle) arm(now);
  } else if (nxt_ < end && una_ == nxt_ && now >= rto_at_) {
    count(Oddity::kWindowProbe);
    send_from(nxt_, std::min(end, nxt_ + 1), now);
    arm(now);
  }
  if (una_ == nxt_ && nxt_ == end) rto_at_ = kNever;
  if (una_ == nxt_ && nxt_ < end && rto_at_ == kNever) arm(now);
  if (options_.keep_alive && una_ == nxt_ && keep_alive_at_ == kNever && random_.chance(30)) {
    keep_alive_at_ = now + 30 * kMilli;
  }
  if (now >= keep_alive_at_) {
    keep_alive_at_ = kNever;
    if (una_ == nxt_ && !fin_wanted_) {
      count(Oddity::kKeepAlive);
      emit(segment_at(nxt_ - 1, random_.chance(50) ? "#" : "", now));
    }
  }
}

void Endpoint::accept(const Tcp& syn) {
  peer_isn_ = syn.seq;
  sack_ = options_.sack && syn.sack_permitted;
  sack_list_.clear();
  scoreboard_.clear();
  duplicate_ = {0, 0};
  timestamps_ = options_.timestamps && syn.timestamps;
  const bool scaled = options_.window_scale >= 0 && syn.window_scale >= 0;
  peer_scale_ = scaled ? std::min(syn.window_scale, 14) : 0;
  own_scale_ = scaled ? options_.window_scale : 0;
  ts_recent_ = syn.ts_value;
  edge_ = syn.window;
  rcv_ = 0;
  offered_ = options_.zero_window ? 700 : kWindowBytes;
  window_opens_ = 0;
  queue_.clear();
  linux_queue_.clear();
  acknowledged_ = 0;
  first_ts_ = last_ts_ = 0;
  max_window_ = 0;
  urgent_cut_ = -1;
  peer_fin_ = -1;
  peer_fin_taken_ = false;
  una_ = nxt_ = 0;
}

void Endpoint::on_closed(const Tcp& segment, Nanos now) {
  if (options_.is_client || !segment.has(kSyn) || segment.has(kAck) || segment.has(kRst)) return;
  if (segment.has(kFin) && !options_.variant.syn_fin_taken) return;
  accept(segment);
  out_.clear();
  fin_wanted_ = false;
  state_ = State::kSynReceived;
  isn_ += 0x10000;
  delivered.push_back({segment.seq, isn_, {}});
  if (options_.variant.syn_data_taken && !segment.payload.empty()) put_bytes(0, segment.payload);
  emit(syn_ack(now));
  rto_ = kRtoMin;
  arm(now);
}

void Endpoint::on_syn(const Tcp& segment, Nanos now) {
  if (state_ == State::kSynSent) {
    if (!segment.has(kAck) || segment.ack != isn_ + 1) return;
    accept(segment);
    delivered.push_back({isn_, segment.seq, {}});
    state_ = State::kEstablished;
    rto_at_ = kNever;
    rto_ = kRtoMin;
    if (options_.handshake_data && !out_.empty()) {
      count(Oddity::kHandshakeData);
      work(now);
    } else {
      send_ack(now);
    }
    return;
  }
  const bool again = segment.seq == peer_isn_;
  if (state_ == State::kSynReceived && !again && options_.variant.second_syn_adopted) {
    on_closed(segment, now);
    return;
  }
  if (state_ == State::kEstablished && !again && !options_.is_client &&
      options_.variant.syn_restarts && !segment.has(kAck) &&
      (!segment.has(kFin) || options_.variant.syn_fin_taken)) {
    on_closed(segment, now);
    return;
  }
  if (state_ == State::kSynReceived && again) {
    emit(syn_ack(now));
    return;
  }
  send_ack(now);
}

/// The checks that a segment must pass, as far as this stack makes them.
bool Endpoint::sound(const Tcp& segment, std::int64_t offset, Nanos now) {
  const Variant& variant = options_.variant;
  if (!segment.has(kAck) && !variant.no_ack_taken) return false;
  if (segment.timestamps && timestamps_ && variant.paws != Variant::Paws::kNone) {
    const auto age = static_cast<std::int32_t>(segment.ts_value - ts_recent_);
    const bool bare = segment.payload.empty() && !segment.has(kFin);
    if (age < (variant.paws == Variant::Paws::kLinux ? -1 : 0) && !bare) {
      send_ack(now);
      return false;
    }
  }
  const auto length = static_cast<std::int64_t>(segment.payload.size());
  if (!variant.window_ignored && length != 0 && (offset + length <= rcv_ || offset >= offered_)) {
    if (offset + length <= rcv_) note_duplicate(offset, offset + length);
    send_ack(now);
    return false;
  }
  if (offset > rcv_ + 2 * kWindowBytes || offset + length < rcv_ - 2 * kWindowBytes) return false;
  if (segment.has(kAck) && variant.ack != Variant::Ack::kNone) {
    const auto ahead =
        static_cast<std::int32_t>(segment.ack - (isn_ + 1 + static_cast<std::uint32_t>(nxt_)));
    if (ahead > 0) return false;
    if (variant.ack == Variant::Ack::kRfc5961 && ahead < -100000) return false;
  }
  return true;
}

void Endpoint::take_ack(const Tcp& segment, Nanos now) {
  if (!segment.has(kAck)) return;
  const std::int64_t ack =
      una_ + static_cast<std::int32_t>(segment.ack - (isn_ + 1 + static_cast<std::uint32_t>(una_)));
  if (ack > nxt_) return;
  edge_ = std::max(edge_, ack + (std::int64_t{segment.window} << peer_scale_));
  take_sack(segment);
  if (ack > una_) {
    una_ = ack;
    rto_ = kRtoMin;
    duplicate_acks_ = 0;
    if (una_ < nxt_) arm(now);
    scoreboard_.forget_below(una_);
  } else if (ack == una_ && una_ < nxt_ && segment.payload.empty() && ++duplicate_acks_ == 3) {
    send_hole(now);
  }
}

void Endpoint::take_sack(const Tcp& segment) {
  if (!sack_ || options_.shadow) return;
  for (const auto& [begin, end] : segment.sack) {
    const auto offset = [&](std::uint32_t number) {
      return una_ +
             static_cast<std::int32_t>(number - (isn_ + 1 + static_cast<std::uint32_t>(una_)));
    };
    const bool sound = offset(begin) > una_ && offset(begin) < offset(end) && offset(end) <= nxt_;
    if (sound) scoreboard_.add(offset(begin), offset(end));
  }
}

/// A segment of what is missing first.
void Endpoint::send_hole(Nanos now) {
  const std::int64_t end = std::min(nxt_, una_ + options_.segment_bytes);
  send_from(una_, scoreboard_.hole_end(una_, end), now);
}

/// Out of memory: RFC 2018 section 8 lets a receiver forget what it has not acknowledged.
void Endpoint::renege() {
  const bool has_more = static_cast<std::int64_t>(queue_.size()) > rcv_ || !linux_queue_.empty();
  if (!options_.reneges || !has_more || !renege_random_.chance(3)) return;
  count(Oddity::kRenege);
  queue_.resize(std::min(queue_.size(), static_cast<std::size_t>(rcv_)));
  linux_queue_.clear();
  sack_list_.clear();
  if (!peer_fin_taken_) peer_fin_ = -1;
}

void Endpoint::put_bytes(std::int64_t offset, std::string_view bytes) {
  const bool in_order = offset <= rcv_;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::int64_t at = offset + static_cast<std::int64_t>(i);
    if (at < rcv_ || at > rcv_ + 4 * kWindowBytes) continue;
    if (peer_fin_ >= 0 && at >= peer_fin_ && !options_.variant.bytes_behind_fin) break;
    if (static_cast<std::size_t>(at) >= queue_.size()) {
      queue_.resize(static_cast<std::size_t>(at) + 1, std::int16_t{-1});
    }
    std::int16_t& place = queue_[static_cast<std::size_t>(at)];
    const bool wins = options_.variant.overlap == Variant::Overlap::kLast ||
                      (options_.variant.overlap == Variant::Overlap::kFiller && in_order);
    if (place < 0 || wins) place = static_cast<std::uint8_t>(bytes[i]);
  }
  while (static_cast<std::size_t>(rcv_) < queue_.size() &&
         queue_[static_cast<std::size_t>(rcv_)] >= 0) {
    const char byte = static_cast<char>(queue_[static_cast<std::size_t>(rcv_)]);
    deliver({&byte, 1});
  }
}

void Endpoint::deliver(std::string_view bytes) {
  for (const char byte : bytes) {
    if (rcv_++ != urgent_cut_) delivered.back().bytes.push_back(byte);
  }
}

void Endpoint::take_data(const Tcp& segment, std::int64_t offset, Nanos now) {
  const auto length = static_cast<std::int64_t>(segment.payload.size());
  if (length == 0 && !segment.has(kFin)) return;
  if (offset <= rcv_ && timestamps_ && segment.timestamps &&
      static_cast<std::int32_t>(segment.ts_value - ts_recent_) > 0) {
    ts_recent_ = segment.ts_value;
  }
  if (segment.has(kUrg) && options_.variant.urgent_cut &&
      segment.urgent <= segment.payload.size()) {
    urgent_cut_ = offset + std::max(0, segment.urgent - 1);
  }
  if (offset + length <= rcv_) note_duplicate(offset, offset + length);
  if (offset > rcv_ && length != 0) sack_list_.add(offset, offset + length);
  put_bytes(offset, segment.payload);
  sack_list_.advance(rcv_, static_cast<std::int64_t>(queue_.size()) <= rcv_);
  if (segment.has(kFin) && (peer_fin_ < 0 || peer_fin_ > offset + length)) {
    peer_fin_ = offset + length;
  }
  if (peer_fin_ >= 0 && rcv_ == peer_fin_) peer_fin_taken_ = true;
  answer_data(now);
}

void Endpoint::answer_data(Nanos now) {
  renege();
  if (options_.zero_window && window_opens_ == 0 && random_.chance(10)) {
    count(Oddity::kZeroWindow);
    window_opens_ = now + 400 * kMilli;
  }
  open_window(now);
  send_ack(now);
}

void Endpoint::close() {
  state_ = options_.is_client ? State::kDead : State::kClosed;
  rto_at_ = keep_alive_at_ = kNever;
  out_.clear();
  una_ = nxt_ = 0;
  fin_wanted_ = false;
}

void Endpoint::on_frame(const Frame& frame, Nanos now) {
  Frame whole;
  if (read_ip(frame).fragment) {
    const Variant& variant = options_.variant;
    const auto policy = variant.linux            ? Reassembly::Policy::kLinux
                        : variant.fragments_last ? Reassembly::Policy::kLast
                                                 : Reassembly::Policy::kFirst;
    if (!fragments_.add(frame, policy, whole)) return;
  }
  Tcp segment;
  if (!read_frame(whole.empty() ? frame : whole, segment)) return;
  if (segment.checksum_wrong && !options_.variant.checksum_ignored) return;
  if (!headers_sound(segment) && !options_.variant.headers_ignored) return;
  if (state_ == State::kDead) return;
  if (state_ == State::kClosed) return on_closed(segment, now);
  const std::int64_t offset =
      rcv_ +
      static_cast<std::int32_t>(segment.seq - (peer_isn_ + 1 + static_cast<std::uint32_t>(rcv_)));
  if (options_.variant.linux) return on_segment_linux(segment, offset, now);
  if (segment.has(kSyn) && !segment.has(kRst)) return on_syn(segment, now);
  if (segment.has(kRst)) {
    const bool exact = offset == next();
    const bool inside = offset >= next() && offset < next() + kWindowBytes;
    bool taken = options_.variant.reset == Variant::Reset::kAnywhere;
    if (options_.variant.reset == Variant::Reset::kExact) taken = exact;
    if (options_.variant.reset == Variant::Reset::kInside) taken = inside;
    if (state_ == State::kSynSent) taken = segment.ack == isn_ + 1;
    if (!taken) return;
    close();
    return;
  }
  if (state_ == State::kSynSent) return;
  if (state_ == State::kSynReceived) {
    const bool completes = segment.ack == isn_ + 1;
    if (!segment.has(kAck) || !completes) return;
    state_ = State::kEstablished;
    rto_at_ = kNever;
    rto_ = kRtoMin;
  }
  if (!sound(segment, offset, now)) return;
  take_ack(segment, now);
  take_data(segment, offset, now);
}

}  // namespace sluice::sim
