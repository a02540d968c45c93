// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/net/craft.h"
#include "dataplane/net/fragments.h"
#include "dataplane/net/packet.h"

/// Frames, one after the other, as two bytes of length and the bytes: parse() stays inside,
/// whatever is joined from fragments parses, and a normalised segment is still sound.

namespace {

using namespace sluice;

net::FragmentTable& table() {
  static std::vector<std::uint64_t> memory;
  static base::HashKey key{};
  net::FragmentLimits limits;
  limits.datagrams = 16;
  limits.blocks = 64;
  const std::size_t bytes = net::FragmentTable::memory_bytes(limits);
  memory.assign(bytes / 8 + 16, 0);
  const auto at = (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) & ~std::uintptr_t{63};
  static std::unique_ptr<net::FragmentTable> made;
  base::seeded_hash_key(key, 1);
  made = std::make_unique<net::FragmentTable>(
      std::span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(at), bytes), key, limits);
  return *made;
}

void take(net::FragmentTable& fragments, std::vector<std::uint8_t> frame, std::uint64_t now) {
  net::ParsedPacket packet;
  net::parse(frame, {true, true}, packet);
  net::Protection protection;
  protection.from_outside = protection.to_service = true;
  const net::Classification verdict = net::classify(packet, protection);
  if (verdict.action == net::Action::kReassemble) {
    const net::FragmentResult result = fragments.add(packet, {now + 1}, now);
    if (result.outcome == net::FragmentOutcome::kComplete) {
      net::ParsedPacket whole;
      net::parse(result.datagram, {true, true}, whole);
      SLUICE_CHECK(!whole.is_fragment);
    }
  } else if (verdict.action == net::Action::kInspect) {
    net::ParsedPacket again;
    if (net::needs_normalising(packet)) net::normalise(frame, packet);
    net::parse(frame, {true, true}, again);
    SLUICE_CHECK(again.is_tcp() && !again.has_flag(net::kUrg));
    SLUICE_CHECK(again.payload_bytes == packet.payload_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  net::FragmentTable& fragments = table();
  std::uint64_t now = base::kNanosPerSecond;
  while (size >= 2) {
    std::size_t bytes = std::size_t{data[0]} * 256 + data[1];
    bytes = std::min(bytes % 2048, size - 2);
    take(fragments, {data + 2, data + 2 + bytes}, now);
    data += 2 + bytes;
    size -= 2 + bytes;
    now += base::kNanosPerMilli;
  }
  return 0;
}
