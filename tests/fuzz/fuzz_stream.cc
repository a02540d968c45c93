// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "tests/sim/http.h"
#include "tests/sim/invariants.h"
#include "tests/sim/make_appliance.h"
#include "tests/sim/wire_monitor.h"

/// Both ends' segments, chosen by the input, through net, flow and stream to a receiver of any
/// kind: it gets nothing that was not inspected and no complete bad request, nothing leaves that
/// the simulator's wire monitor refuses, and memory comes back. Input: 8 bytes of set-up, then
/// operations of 8 bytes each.

namespace {

using namespace sluice::sim;

constexpr std::size_t kOperationBytes = 8, kOperationsMax = 400;

/// What the client says, and the same with bad words for the good ones.
const std::string& stream_text(bool bad) {
  static const std::string good =
      make_request("/benign", std::string(40, 'x') + std::string(kGoodWord) + "tail") +
      make_request("/two", std::string(kGoodWord)) + make_request("/three", "");
  static const std::string other = [] {
    std::string text = good;
    for (std::size_t at = 0; (at = text.find(kGoodWord, at)) != std::string::npos;) {
      text.replace(at, kGoodWord.size(), kBadWord);
    }
    return text;
  }();
  return bad ? other : good;
}

struct Operation {
  std::uint8_t kind, length, flags, content, window, extra;
  std::uint16_t place;
};

class Run {
 public:
  explicit Run(const std::uint8_t* set_up) {
    static const std::unique_ptr<Appliance> made = make_appliance(false);
    appliance_ = made.get();
    const bool wraps = (set_up[0] & 1) != 0;
    timestamps_ = (set_up[0] & 2) != 0;
    scale_ = (set_up[0] & 4) != 0 ? 3 : -1;
    ipv6_ = (set_up[6] & 1) != 0;
    sack_ = (set_up[6] & 2) != 0;
    isn_ = wraps ? 0xffffffffU - set_up[1] : 1000;
    Endpoint::Options options;
    options.is_client = false;
    options.isn = wraps ? 0x7ffffff0U : 77;
    options.timestamps = (set_up[0] & 8) != 0;
    options.zero_window = (set_up[0] & 16) != 0;
    options.window_scale = scale_;
    options.ipv6 = ipv6_;
    options.sack = options.dsack = sack_;
    options.reneges = (set_up[6] & 4) != 0;
    options.seed = set_up[7];
    Random random(set_up[2] * 256U + set_up[3]);
    options.variant = (set_up[0] & 64) != 0 ? Variant::of_linux() : Variant::draw(random);
    server_.start(options);
    const bool late_verdicts = (set_up[0] & 32) != 0;
    monitor_.start(late_verdicts, false);
    appliance_->start(set_up[4], {late_verdicts, 0});
  }

  void shake_hands() {
    Tcp syn = segment(-1, "");
    syn.flags = kSyn;
    syn.ack = 0;
    syn.mss = 1400;
    syn.window_scale = scale_;
    syn.sack_permitted = sack_;
    send(syn);
    Tcp third = segment(0, "");
    send(third);
  }

  void operate(const Operation& op) {
    const std::int64_t size = static_cast<std::int64_t>(stream_text(false).size());
    const std::int64_t offset = op.place % (size + 100) - 20;
    switch (op.kind % 8) {
      case 0:
      case 1:
        return send(segment(offset, text_at(offset, op)));
      case 2:
        return send_odd(offset, op);
      case 3:
        return send_fragments(offset, op);
      case 4: {
        Tcp control = segment(offset, (op.extra & 1) != 0 ? text_at(offset, op) : "");
        control.flags = op.flags;
        if ((op.extra & 2) != 0) control.ack += op.content * 64U - 4096;
        if ((control.flags & kSyn) != 0) control.window_scale = op.window % 16;
        return send(control);
      }
      case 5:
        now_ += op.place * (kMilli / 8);
        server_.work(now_);
        appliance_->poll(now_);
        return settle();
      case 6:
        server_.send(make_message("HTTP/1.1 200 OK", std::string(op.length, 'r')));
        server_.work(now_);
        return settle();
      default:
        return from_server(op);
    }
  }

  void end() {
    const std::string problem = check_server(server_.delivered, *appliance_);
    const std::string wire = monitor_.problem(appliance_->inspected);
    const std::string memory = appliance_->finish(now_);
    if (problem.empty() && wire.empty() && memory.empty()) return;
    std::fprintf(stderr, "%s; %s; %s\n", problem.c_str(), wire.c_str(), memory.c_str());
    std::abort();
  }

 private:
  [[nodiscard]] Tcp segment(std::int64_t offset, std::string payload) const {
    Tcp made;
    made.to_server = true;
    made.ipv6 = ipv6_;
    made.seq = isn_ + 1 + static_cast<std::uint32_t>(offset);
    made.ack = server_next_;
    made.flags = kAck;
    made.timestamps = timestamps_;
    made.ts_value = static_cast<std::uint32_t>(now_ / kMilli);
    made.payload = std::move(payload);
    return made;
  }
  static std::string text_at(std::int64_t offset, const Operation& op) {
    const std::string& text = stream_text((op.content & 1) != 0);
    const auto begin = static_cast<std::size_t>(std::max<std::int64_t>(offset, 0));
    std::string piece = begin < text.size() ? text.substr(begin, op.length) : "";
    if (offset < 0) piece.insert(0, static_cast<std::size_t>(-offset), '#');
    if ((op.content & 2) != 0 && !piece.empty()) {
      piece[op.extra % piece.size()] = static_cast<char>(op.window);
    }
    return piece;
  }
  void send_odd(std::int64_t offset, const Operation& op) {
    Tcp odd = segment(offset, text_at(offset, op));
    odd.flags = op.flags;
    odd.window = op.window;
    odd.urgent = op.extra;
    switch (op.extra % 8) {
      case 0:
        odd.checksum_wrong = true;
        break;
      case 1:
        odd.ttl = 1;
        break;
      case 2:
        odd.ack += op.window * 300U;
        break;
      case 3:
        odd.ack -= op.window * 600U;
        break;
      case 4:
        odd.ts_value -= op.window * 10U;
        break;
      case 5:
        odd.ts_value += op.window * 1000U;
        break;
      case 6:
        odd.seq += static_cast<std::uint32_t>(op.window) << 22;
        break;
      default:
        odd.vlan = op.window % 3;
        odd_options(odd, op);
        break;
    }
    send(odd);
  }
  /// Selective acknowledgements of anything, extension headers of any kind.
  void odd_options(Tcp& odd, const Operation& op) const {
    constexpr std::uint8_t kTypes[] = {Ip6Header::kHopByHop, Ip6Header::kRouting,
                                       Ip6Header::kFragment, Ip6Header::kDestination};
    if ((op.extra & 8) != 0) odd.sack = {{odd.ack + op.window, odd.ack + op.place}};
    for (unsigned i = 0; ipv6_ && i < op.extra >> 4; ++i) {
      odd.headers.push_back(
          {kTypes[(op.kind >> 3 >> i % 4) & 3], static_cast<std::uint8_t>(op.window << (i & 7))});
    }
  }
  void send_fragments(std::int64_t offset, const Operation& op) {
    Tcp good = segment(offset, text_at(offset, op)), bad = good;
    Operation swapped = op;
    swapped.content ^= 1;
    bad.payload = text_at(offset, swapped);
    good.ip_id = bad.ip_id = static_cast<std::uint16_t>(100 + op.extra);
    const std::size_t piece = 8U * (1 + op.window % 12);
    std::vector<Frame> pieces = write_fragments(write_frame(good), piece);
    const std::vector<Frame> others = write_fragments(write_frame(bad), piece);
    for (std::size_t i = 0; i < pieces.size() && i < 8; ++i) {
      if ((op.flags >> i & 1) != 0 && i < others.size()) pieces.push_back(others[i]);
    }
    if ((op.extra & 1) != 0) std::reverse(pieces.begin(), pieces.end());
    for (const Frame& frame : pieces) push(true, frame);
  }
  void from_server(const Operation& op) {
    Tcp made = server_.segment_at(op.place % 400 - 10, std::string(op.length % 64, 's'), now_);
    made.flags = op.flags;
    made.ack += op.content % 16 == 0 ? op.extra * 40U : 0U;
    push(false, write_frame(made));
  }
  void send(const Tcp& made) { push(true, write_frame(made)); }
  void push(bool from_outside, const Frame& frame) {
    enter(from_outside, frame);
    now_ += kMilli / 10;
    settle();
  }
  void enter(bool from_outside, const Frame& frame) {
    monitor_.enter(from_outside, frame);
    appliance_->on_frame(from_outside, frame, now_);
  }
  /// What left arrives at once; what the server answers goes back.
  void settle() {
    for (int round = 0; round < 100; ++round) {
      auto left = std::move(appliance_->outbox);
      appliance_->outbox.clear();
      for (const auto& [to_server, frame] : left) {
        Tcp seen;
        monitor_.watch(to_server, frame, now_);
        if (to_server) {
          if (read_ip(frame).ttl > 1) server_.on_frame(frame, now_);
        } else if (read_frame(frame, seen) && !seen.has(kRst)) {
          const std::uint32_t bytes =
              static_cast<std::uint32_t>(seen.payload.size()) + (seen.has(kSyn) ? 1U : 0U);
          if (seen.has(kSyn) || seen.seq == server_next_) server_next_ = seen.seq + bytes;
        }
      }
      const auto answers = std::move(server_.outbox);
      server_.outbox.clear();
      for (const Frame& frame : answers) enter(false, frame);
      if (answers.empty() && appliance_->outbox.empty()) return;
    }
  }

  Appliance* appliance_;
  Endpoint server_;
  WireMonitor monitor_;
  Nanos now_ = 1000 * kSecond;
  std::uint32_t isn_ = 0, server_next_ = 0;
  int scale_ = -1;
  bool timestamps_ = false, ipv6_ = false, sack_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kOperationBytes) return 0;
  Run run(data);
  const bool opened = (data[5] & 3) != 0;
  if (opened) run.shake_hands();
  std::size_t operations = 0;
  for (data += kOperationBytes, size -= kOperationBytes;
       size >= kOperationBytes && operations < kOperationsMax; ++operations) {
    const Operation op{data[0],
                       data[1],
                       data[2],
                       data[3],
                       data[4],
                       data[5],
                       static_cast<std::uint16_t>(data[6] * 256U + data[7])};
    run.operate(op);
    data += kOperationBytes;
    size -= kOperationBytes;
  }
  run.end();
  return 0;
}
