// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/conversation.h"

#include <algorithm>
#include <array>

#include "dataplane/net/packet.h"

namespace sluice::ctl {

namespace {

constexpr std::size_t kSegmentBytes = 1400;
constexpr std::uint32_t kClientIsn = 1000, kServerIsn = 5000;
constexpr std::uint16_t kWindow = 65535;

net::SegmentTemplate template_for(const Conversation::Ends& ends) {
  net::SegmentTemplate out;
  const bool is_v4 = ends.server.is_v4();
  const std::array<std::uint8_t, 14> link = {2,
                                             0,
                                             0,
                                             0,
                                             0,
                                             2,
                                             2,
                                             0,
                                             0,
                                             0,
                                             0,
                                             1,
                                             static_cast<std::uint8_t>(is_v4 ? 0x08 : 0x86),
                                             static_cast<std::uint8_t>(is_v4 ? 0x00 : 0xdd)};
  std::copy(link.begin(), link.end(), out.link);
  out.link_bytes = link.size();
  out.is_v4 = is_v4;
  out.source = ends.client;
  out.destination = ends.server;
  out.source_port = ends.client_port;
  out.destination_port = ends.server_port;
  return out;
}

}  // namespace

Conversation::Conversation(OfflineEngine& engine, const Ends& ends)
    : engine_(engine),
      client_{template_for(ends), kClientIsn, 0},
      server_{net::reversed(client_.out), kServerIsn, 0} {
  engine_.on_leave([this](engine::Side out, base::Bytes frame) { arrive(out, frame); });
}

Conversation::~Conversation() { engine_.on_leave({}); }

void Conversation::open() {
  segment(true, net::kSyn, {});
  segment(false, net::kSyn | net::kAck, {});
  segment(true, net::kAck, {});
}

void Conversation::say(bool client, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kSegmentBytes);
    segment(client, net::kAck | net::kPsh, piece);
    bytes.remove_prefix(piece.size());
    segment(!client, net::kAck, {});
  }
}

void Conversation::segment(bool client, unsigned flags, std::string_view payload) {
  End& from = client ? client_ : server_;
  net::SegmentFields fields;
  fields.sequence = from.next;
  fields.acknowledgment = (flags & net::kAck) != 0 ? from.taken : 0;
  fields.window = kWindow;
  fields.flags = static_cast<std::uint8_t>(flags);
  fields.payload = base::as_bytes(payload);
  std::array<std::uint8_t, net::kCraftHeaderBytesMax + kSegmentBytes> frame;
  const std::size_t bytes = net::craft_segment(frame, from.out, fields);
  from.next += static_cast<std::uint32_t>(payload.size());
  if ((flags & (net::kSyn | net::kFin)) != 0) ++from.next;
  engine_.push(client ? engine::Side::kOutside : engine::Side::kInside, {frame.data(), bytes},
               true);
}

void Conversation::arrive(engine::Side out, base::Bytes frame) {
  net::ParsedPacket parsed;
  net::parse(frame, {true, true}, parsed);
  if (!parsed.is_tcp() || parsed.has_flag(net::kRst)) return;
  End& to = out == engine::Side::kInside ? server_ : client_;
  const bool counts = parsed.has_flag(net::kSyn) || parsed.has_flag(net::kFin);
  const std::uint32_t end = parsed.sequence + parsed.payload_bytes + (counts ? 1 : 0);
  const bool first = parsed.has_flag(net::kSyn);
  if (first || static_cast<std::int32_t>(end - to.taken) > 0) to.taken = end;
}

}  // namespace sluice::ctl
