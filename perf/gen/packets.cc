// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/packets.h"

#include <algorithm>
#include <cstring>

#include "perf/gen/wire.h"

namespace sluice::gen {
namespace {

constexpr std::uint32_t kFcsBytes = 4, kUdpBytes = 8;
constexpr std::size_t kPayloadAt = kEthernetBytes + kIpBytes + kUdpBytes;
constexpr std::uint64_t kMark = 0x534c55494345474eU;
constexpr std::uint64_t kPacketsPerCall = 256;

}  // namespace

PacketLoad::PacketLoad(const AddressPlan& plan, const Options& options, Transmitter& transmitter)
    : plan_(plan), options_(options), transmitter_(transmitter) {
  frame_.assign(options.frame_bytes - kFcsBytes, 0);
  write_ip(frame_.data(), kToServer, plan.network, plan.server, frame_.size() - kEthernetBytes,
           net::kProtocolUdp);
  std::uint8_t* udp = frame_.data() + kEthernetBytes + kIpBytes;
  base::store_be16(udp + 2, 9);  // discard
  base::store_be16(udp + 4, static_cast<std::uint16_t>(frame_.size() - kEthernetBytes - kIpBytes));
  std::memcpy(frame_.data() + kPayloadAt, &kMark, sizeof kMark);
}

std::uint32_t PacketLoad::send(base::Nanos now) {
  if (started_ == 0) started_ = now;
  std::uint64_t count;
  if (options_.rate > 0) {
    const auto due =
        static_cast<std::uint64_t>(options_.rate * static_cast<double>(now - started_) / 1e9);
    count = due - std::min(due, sent_);
  } else {
    const std::uint64_t in_flight = sent_ - std::min(sent_, received_);
    count = options_.in_flight_max - std::min<std::uint64_t>(in_flight, options_.in_flight_max);
  }
  count = std::min({count, kPacketsPerCall, std::uint64_t{transmitter_.room()}});
  const std::uint16_t ip_checksum = base::load_be16(frame_.data() + kEthernetBytes + 10);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint8_t* to = transmitter_.next(frame_.size());
    if (to == nullptr) return static_cast<std::uint32_t>(i);
    std::memcpy(to, frame_.data(), frame_.size());
    const auto flow = static_cast<std::uint32_t>(sent_ % options_.flows);
    const std::uint32_t source = plan_.network + flow % plan_.clients;
    std::uint8_t* ip = to + kEthernetBytes;
    base::store_be32(ip + 12, source);
    base::store_be16(ip + 10, net::checksum_replace32(ip_checksum, plan_.network, source));
    base::store_be16(ip + kIpBytes,
                     static_cast<std::uint16_t>(1024 + flow / plan_.clients % 60000));
    const std::uint64_t number = ++sent_;
    std::memcpy(to + kPayloadAt + 8, &number, sizeof number);
  }
  return static_cast<std::uint32_t>(count);
}

std::uint32_t PacketLoad::receive(std::span<const base::Bytes> frames) {
  std::uint32_t ours = 0;
  for (const base::Bytes& frame : frames) {
    std::uint64_t mark = 0, number = 0;
    if (frame.size() == frame_.size()) {
      std::memcpy(&mark, frame.data() + kPayloadAt, sizeof mark);
      std::memcpy(&number, frame.data() + kPayloadAt + 8, sizeof number);
    }
    if (mark != kMark || number > sent_) {
      ++foreign_;
      continue;
    }
    reordered_ += number < highest_ ? 1U : 0U;
    highest_ = std::max(highest_, number);
    ++ours;
  }
  received_ += ours;
  return ours;
}

}  // namespace sluice::gen
