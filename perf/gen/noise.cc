// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/noise.h"

#include <algorithm>

#include "perf/gen/script.h"

namespace sluice::gen {
namespace {

constexpr std::uint64_t kFramesPerCall = 64;
/// Frames kept free for the honest load.
constexpr std::uint32_t kRoomToSend = 2048;

std::uint64_t due(double per_second, base::Nanos elapsed, std::uint64_t sent) {
  const auto total = static_cast<std::uint64_t>(per_second * static_cast<double>(elapsed) / 1e9);
  return std::min(total - std::min(total, sent), kFramesPerCall);
}

/// Makes the sound segment in `frame` one of the kind. The IP checksum is put right again where the
/// fault is not the IP header's.
void spoil(std::uint8_t* frame, std::size_t kind) {
  std::uint8_t* ip = frame + kEthernetBytes;
  std::uint8_t* tcp = ip + kIpBytes;
  switch (kind) {
    case 0:
      ip[10] ^= 0x55;
      return;
    case 1:
      tcp[16] ^= 0x55;
      return;
    case 2:
      base::store_be16(ip + 2, 1400);
      break;
    case 3:
      ip[0] = 0x44;
      break;
    case 4:
      tcp[12] = 0x40;
      break;
    case 5:
      tcp[12] = 0xf0;
      break;
    case 6:
      tcp[13] = 0;
      break;
    case 7:
      tcp[13] = net::kSyn | net::kFin;
      break;
    case 8:
      tcp[13] = 0xff;
      break;
    case 9:
      base::store_be16(tcp, 0);
      break;
    case 10:
      ip[8] = 0;
      break;
    default:
      base::store_be16(ip + 6, 0x2000);  // more to come, and the TCP header cut in two
      base::store_be16(ip + 2, 28);
      break;
  }
  base::store_be16(ip + 10, 0);
  base::store_be16(ip + 10, net::checksum_of({ip, kIpBytes}));
  if (kind >= 4 && kind <= 9) {
    base::store_be16(tcp + 16, 0);
    net::ChecksumSum sum = pseudo_header(base::load_be32(ip + 12), base::load_be32(ip + 16),
                                         kTcpBytes + kTimestampBytes);
    net::add_bytes(sum, {tcp, kTcpBytes + kTimestampBytes});
    base::store_be16(tcp + 16, sum.checksum());
  }
}

}  // namespace

int malformation_of(base::Bytes frame) {
  if (frame.size() < kEthernetBytes + kIpBytes) return -1;
  if (base::load_be16(frame.data() + 12) != net::kEtherIpv4) return -1;
  const std::uint32_t source = base::load_be32(frame.data() + kEthernetBytes + 12);
  if ((source & kMalformedMask) != kMalformedNetwork) return -1;
  const std::uint32_t kind = source >> 8 & 0xff;
  return kind < kMalformations ? static_cast<int>(kind) : -1;
}

void answer_flood(const InSegment& in, Transmitter& transmitter, base::Nanos now) {
  if (transmitter.room() < kRoomToSend) return;
  std::uint8_t* frame = transmitter.next(frame_bytes(true, 0));
  if (frame == nullptr) return;
  const OutSegment out{.source = in.destination,
                       .destination = in.source,
                       .source_port = in.destination_port,
                       .destination_port = in.source_port,
                       .sequence = static_cast<std::uint32_t>(mix(in.source)),
                       .acknowledgment = in.sequence + 1,
                       .timestamp = timestamp_of(now),
                       .echo = in.timestamp,
                       .window = 65535,
                       .mss = 1460,
                       .flags = net::kSyn | net::kAck};
  write_segment(frame, kToClient, out, {}, {});
}

void Noise::send_syn(base::Nanos now) {
  std::uint8_t* frame = transmitter_.next(frame_bytes(true, 0));
  if (frame == nullptr) return;
  const std::uint64_t draw = mix(syns_);
  const OutSegment out{.source = kFloodNetwork | (static_cast<std::uint32_t>(draw) & ~kFloodMask),
                       .destination = plan_.server,
                       .source_port = static_cast<std::uint16_t>(1024 + (draw >> 32) % 64000),
                       .destination_port = plan_.server_port,
                       .sequence = static_cast<std::uint32_t>(draw >> 20),
                       .acknowledgment = 0,
                       .timestamp = timestamp_of(now),
                       .echo = 0,
                       .window = 65535,
                       .mss = 1460,
                       .flags = net::kSyn};
  write_segment(frame, kToServer, out, {}, {});
  ++syns_;
}

void Noise::send_malformed(base::Nanos now) {
  const std::size_t kind = malformed_sent_ % kMalformations;
  std::uint8_t* frame = transmitter_.next(frame_bytes(false, 0));
  if (frame == nullptr) return;
  const std::uint64_t draw = mix(malformed_sent_);
  const auto source = kMalformedNetwork | static_cast<std::uint32_t>(kind) << 8 |
                      (static_cast<std::uint32_t>(draw) & 0xff);
  const OutSegment out{.source = source,
                       .destination = plan_.server,
                       .source_port = static_cast<std::uint16_t>(1024 + (draw >> 32) % 64000),
                       .destination_port = plan_.server_port,
                       .sequence = static_cast<std::uint32_t>(draw >> 20),
                       .acknowledgment = 1,
                       .timestamp = timestamp_of(now),
                       .echo = 0,
                       .window = 65535,
                       .mss = 0,
                       .flags = net::kAck};
  write_segment(frame, kToServer, out, {}, {});
  spoil(frame, kind);
  ++malformed_sent_;
  ++malformed_[kind];
}

void Noise::poll(base::Nanos now) {
  if (started_ == 0) started_ = now;
  for (std::uint64_t n = due(options_.syns_per_second, now - started_, syns_); n-- > 0;) {
    if (transmitter_.room() < kRoomToSend) return;
    send_syn(now);
  }
  for (std::uint64_t n = due(options_.malformed_per_second, now - started_, malformed_sent_);
       n-- > 0;) {
    if (transmitter_.room() < kRoomToSend) return;
    send_malformed(now);
  }
}

}  // namespace sluice::gen
