// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <array>

#include "tests/sim/http.h"
#include "tests/sim/world.h"

/// The attacker sits at the client's end: it knows every number, sends what no client would, and
/// wants the server to read `other_requests_`. A few oddities come from the server's end.
namespace sluice::sim {
namespace {

/// In any order, with options of all four kinds (RFC 8200 section 4.2) and routes not yet taken.
std::vector<Ip6Header> odd_headers(Random& random) {
  constexpr std::array<std::uint8_t, 3> kTypes = {Ip6Header::kHopByHop, Ip6Header::kRouting,
                                                  Ip6Header::kDestination};
  constexpr std::array<std::uint8_t, 4> kOptions = {0x1e, 0x5e, 0x9e, 0xde};
  std::vector<Ip6Header> headers(1 + random.below(random.chance(20) ? 10 : 3));
  for (Ip6Header& header : headers) {
    header.type = kTypes[random.below(kTypes.size())];
    header.option = header.type == Ip6Header::kRouting
                        ? static_cast<std::uint8_t>(random.below(2))
                        : kOptions[random.chance(50) ? 0 : random.below(kOptions.size())];
  }
  return headers;
}

}  // namespace

void World::inject_frame(Frame frame, bool from_client) {
  // No loss on the attacker's own side: what it sends arrives, a little after what was sent before.
  push(now_ + kMilli + kMilli / 8, from_client ? At::kApplianceOutside : At::kApplianceInside,
       std::move(frame));
}
void World::inject(const Tcp& segment, bool from_client) {
  inject_frame(write_frame(segment), from_client);
}

std::string World::other_bytes(std::int64_t offset, std::size_t bytes) const {
  const auto begin = static_cast<std::size_t>(std::max<std::int64_t>(offset, 0));
  std::string text = begin < other_requests_.size() ? other_requests_.substr(begin, bytes) : "";
  text.resize(bytes, '!');
  // Always different, also where no word is.
  if (!text.empty() && begin < requests_.size() && text == requests_.substr(begin, bytes)) {
    text.back() = static_cast<char>(text.back() ^ 1);
  }
  return text;
}

Tcp World::data_at(std::int64_t offset, std::size_t bytes, bool bad) {
  std::string text = other_bytes(offset, bytes);
  if (!bad) {
    const auto begin = static_cast<std::size_t>(std::max<std::int64_t>(offset, 0));
    text = begin < requests_.size() ? requests_.substr(begin, bytes) : "";
    text.resize(bytes, '!');
  }
  return client_.segment_at(offset, text, now_);
}

void World::attack(Oddity oddity) {
  switch (oddity) {
    case Oddity::kSynOther:
    case Oddity::kSynEstablished:
    case Oddity::kSynData:
    case Oddity::kSynFin:
    case Oddity::kClientSynAck:
    case Oddity::kBadThird:
    case Oddity::kServerSyn:
    case Oddity::kServerEarly:
    case Oddity::kMidstream:
    case Oddity::kReuse:
    case Oddity::kRstHandshake:
    case Oddity::kNearThird:
      return attack_handshake(oddity);
    case Oddity::kUrgentPointer:
    case Oddity::kSynScale:
    case Oddity::kFarThird:
    case Oddity::kWideAhead:
    case Oddity::kReuseSame:
    case Oddity::kReuseOld:
    case Oddity::kFinTwice:
      return attack_with_numbers(oddity);
    case Oddity::kServerOdd:
      return attack_from_server();
    case Oddity::kRstExact:
    case Oddity::kRstWindow:
    case Oddity::kRstAck:
    case Oddity::kFinDecoy:
    case Oddity::kFinAhead:
    case Oddity::kFinBadAck:
    case Oddity::kServerAckAhead:
    case Oddity::kRstSack:
    case Oddity::kRstData:
      if (client_.established()) attack_state(oddity);
      return;
    case Oddity::kFragment:
    case Oddity::kFragmentOverlap:
      if (client_.established()) attack_fragments(oddity);
      return;
    default:
      if (client_.established()) attack_with_data(oddity);
      return;
  }
}

void World::attack_with_data(Oddity oddity) {
  Random& random = attack_random_;
  count(oddity);
  const std::int64_t una = client_.una(), nxt = client_.nxt();
  const std::size_t bytes = 1 + random.below(200);
  std::int64_t offset = random.between(una, std::max(una, nxt + 20));
  switch (oddity) {
    case Oddity::kOverlapSent:
      offset = random.between(una, std::max(una, nxt - 1));
      break;
    case Oddity::kOverlapAhead:
      offset = nxt + random.between(1, 300);
      break;
    case Oddity::kGapDecoy:
      offset = nxt + random.between(1, 100);
      inject(data_at(offset, bytes, false));
      offset += random.between(-20, 20);
      break;
    case Oddity::kFiller:
      inject(data_at(nxt + 10, bytes, random.chance(50)));
      inject(data_at(nxt, 10 + bytes + random.below(30), true));
      return;
    case Oddity::kFarBelow:
      offset = una - random.between(70000, 1 << 20) - (random.chance(50) ? 1 << 30 : 0);
      break;
    case Oddity::kStraddle:
      offset = una - random.between(1, 50);
      inject(data_at(offset, 60 + bytes, true));
      return;
    case Oddity::kOldGarbage:
      offset = una - random.between(1, 300);
      inject(data_at(offset, std::min<std::size_t>(bytes, static_cast<std::size_t>(una - offset)),
                     true));
      return;
    default:
      break;
  }
  Tcp segment = data_at(offset, bytes, true);
  switch (oddity) {
    case Oddity::kBadChecksum:
      segment.checksum_wrong = true;
      break;
    case Oddity::kLowTtl:
      // The appliance sees good bytes that die; the server is to get the others.
      segment.payload = data_at(offset, bytes, false).payload;
      segment.ttl = 1;
      inject(segment);
      segment = data_at(offset, bytes, true);
      break;
    case Oddity::kOutOfWindow:
      segment.seq += static_cast<std::uint32_t>(
          random.chance(50) ? random.between(32000, 100000) : random.between(1 << 29, 1 << 30) * 2);
      break;
    case Oddity::kAckAhead:
      segment.ack += static_cast<std::uint32_t>(random.between(1, 1 << 20));
      break;
    case Oddity::kAckOld:
      segment.ack -= static_cast<std::uint32_t>(random.between(70000, 300000));
      break;
    case Oddity::kNoAck:
      segment.flags = random.chance(50) ? 0 : kPsh;
      break;
    case Oddity::kUrgent:
      segment.payload = data_at(offset, bytes, false).payload;
      segment.flags |= kUrg;
      segment.urgent = static_cast<std::uint16_t>(random.below(bytes + 2));
      break;
    case Oddity::kOldTimestamp:
      segment.ts_value -= static_cast<std::uint32_t>(random.between(1, 100000));
      break;
    case Oddity::kNewTimestamp:
      segment.payload = data_at(offset, bytes, false).payload;
      segment.ts_value += static_cast<std::uint32_t>(random.between(1000, 1 << 30));
      segment.ttl = random.chance(50) ? 1 : 64;
      break;
    case Oddity::kSackLie: {
      const std::uint32_t begin =
          segment.ack + static_cast<std::uint32_t>(random.between(-3000, 9000));
      segment.sack = {{begin, begin + static_cast<std::uint32_t>(random.between(-500, 3000))}};
      break;
    }
    case Oddity::kIp6Odd:
      // Good bytes that the server does not see or that are not looked at, then the others.
      segment.payload = data_at(offset, bytes, random.chance(30)).payload;
      segment.headers = odd_headers(random);
      inject(segment);
      segment = data_at(offset, bytes, true);
      break;
    case Oddity::kVlan:
      segment.vlan = static_cast<std::uint16_t>(1 + random.below(4));
      break;
    default:
      break;
  }
  inject(segment);
}

void World::attack_state(Oddity oddity) {
  Random& random = attack_random_;
  count(oddity);
  const std::int64_t nxt = client_.nxt();
  Tcp segment = client_.segment_at(nxt, "", now_);
  switch (oddity) {
    case Oddity::kRstExact:
      segment.flags = kRst | (random.chance(50) ? kAck : 0);
      segment.ttl = random.chance(50) ? 1 : 64;
      break;
    case Oddity::kRstWindow:
      segment.flags = kRst;
      segment.seq += static_cast<std::uint32_t>(random.between(1, 20000));
      break;
    case Oddity::kRstAck:
      segment.flags = kRst | kAck;
      segment.ack += static_cast<std::uint32_t>(random.between(1, 1 << 20));
      break;
    case Oddity::kFinDecoy:
      segment.flags |= kFin;
      segment.ttl = 1;
      break;
    case Oddity::kFinAhead:
      segment.flags |= kFin;
      segment.seq += static_cast<std::uint32_t>(random.between(1, 40));
      break;
    case Oddity::kFinBadAck:
      segment.flags |= kFin;
      segment.ack += 100000;
      break;
    case Oddity::kServerAckAhead: {
      Tcp ack = server_.segment_at(0, "", now_);
      ack.seq = client_.peer_isn() + 1 + static_cast<std::uint32_t>(client_.taken());
      ack.ack = client_.isn() + 1 + static_cast<std::uint32_t>(nxt + random.between(1500, 9000));
      inject(ack, false);
      break;
    }
    case Oddity::kRstSack: {
      const std::int64_t beyond = nxt + random.between(1, 100);
      const std::size_t bytes = 1 + random.below(100);
      inject(data_at(beyond, bytes, false));
      segment = client_.segment_at(beyond + static_cast<std::int64_t>(bytes), "", now_);
      segment.flags = kRst;
      break;
    }
    case Oddity::kRstData:
      segment = data_at(nxt, 1 + random.below(100), random.chance(50));
      segment.flags = kRst | (random.chance(50) ? kAck : 0);
      break;
    default:
      break;
  }
  if (oddity != Oddity::kServerAckAhead) inject(segment);
  // And then the bytes that the decoy was for.
  inject(data_at(nxt + random.between(-5, 0), 100 + random.below(100), true));
}

void World::attack_handshake(Oddity oddity) {
  Random& random = attack_random_;
  Tcp segment = client_.segment_at(-1, "", now_);
  segment.flags = kSyn;
  segment.ack = 0;
  segment.mss = 1400;
  count(oddity);
  switch (oddity) {
    case Oddity::kSynOther:
    case Oddity::kSynEstablished: {
      segment.seq += static_cast<std::uint32_t>(random.between(1, 60000));
      inject(segment);
      Tcp data = data_at(0, 150, true);
      data.seq = segment.seq + 1;
      inject(data);
      return;
    }
    case Oddity::kSynData:
      segment.payload = other_bytes(0, 100);
      break;
    case Oddity::kSynFin:
      segment.flags = kSyn | kFin;
      segment.payload = random.chance(50) ? other_bytes(0, 50) : "";
      break;
    case Oddity::kClientSynAck:
      segment.flags = kSyn | kAck;
      segment.ack = static_cast<std::uint32_t>(random.next());
      break;
    case Oddity::kBadThird: {
      Tcp data = data_at(0, 150, true);
      data.ack = static_cast<std::uint32_t>(random.next());
      inject(data);
      return;
    }
    case Oddity::kNearThird: {
      Tcp data = data_at(random.chance(30) ? random.between(30000, 200000) : 0, 150, true);
      data.ack = server_.isn() + 1 - static_cast<std::uint32_t>(random.below(200));
      if (random.chance(30)) data.flags = kPsh;
      inject(data);
      return;
    }
    case Oddity::kRstHandshake:
      segment.flags = kRst | (random.chance(50) ? kAck : 0);
      segment.seq += 1 + static_cast<std::uint32_t>(random.chance(50) ? 0 : random.below(9000));
      segment.payload = other_bytes(0, random.chance(50) ? 40 : 0);
      break;
    case Oddity::kServerSyn:
    case Oddity::kServerEarly: {
      Tcp from_server = server_.segment_at(-1, "", now_);
      from_server.flags = kSyn;
      if (oddity == Oddity::kServerEarly) {
        from_server = server_.segment_at(0, make_message("HTTP/1.1 200 OK", "early"), now_);
      }
      inject(from_server, false);
      return;
    }
    case Oddity::kMidstream: {
      // Other ports would be another host's: another VLAN is a connection that nobody opened.
      Tcp data = data_at(client_.established() ? client_.nxt() : 0, 100, true);
      data.vlan = random.chance(50) ? 0 : 9;
      if (data.vlan == 0) data.seq = static_cast<std::uint32_t>(random.next());
      inject(data);
      return;
    }
    case Oddity::kReuse: {
      if (!client_.established()) return;
      Tcp reset = client_.segment_at(client_.nxt(), "", now_);
      reset.flags = kRst;
      reset.ttl = random.chance(30) ? 1 : 64;
      inject(reset);
      segment.seq += 100000;
      inject(segment);
      Tcp data = data_at(0, 150, true);
      data.seq = segment.seq + 1;
      data.ack = server_.isn() + 0x10000 + 1;
      inject(data);
      return;
    }
    default:
      break;
  }
  inject(segment);
}

/// Sound numbers, and something else that is not.
void World::attack_with_numbers(Oddity oddity) {
  Random& random = attack_random_;
  const std::int64_t nxt = client_.nxt();
  Tcp syn = client_.segment_at(-1, "", now_);
  syn.flags = kSyn;
  syn.ack = 0;
  syn.mss = 1400;
  switch (oddity) {
    case Oddity::kUrgentPointer:
      return attack_urgent();
    case Oddity::kSynScale:
      syn.window_scale = static_cast<int>(random.below(15));
      inject(syn);
      break;
    case Oddity::kFarThird: {
      Tcp data = data_at(random.chance(50) ? 0 : random.between(1 << 17, 1 << 29), 150, true);
      data.ack = server_.isn() + 1;
      if (data.seq == client_.isn() + 1) data.flags = kPsh;
      inject(data);
      inject(server_.segment_at(0, make_message("HTTP/1.1 200 OK", "early"), now_), false);
      break;
    }
    case Oddity::kWideAhead: {
      if (!client_.established() || client_.peer_scale() < 4) return;
      Tcp window = server_.segment_at(0, "", now_);
      window.seq = client_.peer_isn() + 1 + static_cast<std::uint32_t>(client_.taken());
      window.ack = client_.isn() + 1 + static_cast<std::uint32_t>(client_.una());
      window.window = 65535;
      inject(window, false);
      inject(data_at(nxt + random.between(320 << 10, 900 << 10), 1 + random.below(200), true));
      break;
    }
    case Oddity::kReuseSame:
    case Oddity::kReuseOld: {
      if (!client_.established()) return;
      Tcp reset = client_.segment_at(nxt, "", now_);
      reset.flags = kRst;
      reset.ttl = random.chance(50) ? 1 : 64;
      inject(reset);
      if (oddity == Oddity::kReuseOld) syn.seq += 100000;
      inject(syn);
      inject(data_at(oddity == Oddity::kReuseOld ? nxt : 0, 150, true));
      break;
    }
    case Oddity::kFinTwice: {
      if (!client_.established()) return;
      Tcp fin = client_.segment_at(nxt + random.between(1, 60), "", now_);
      fin.flags |= kFin;
      inject(fin);
      fin.seq += static_cast<std::uint32_t>(random.between(1, 60));
      inject(random.chance(50) ? fin : data_at(nxt + random.between(61, 90), 100, true));
      break;
    }
    default:
      break;
  }
  count(oddity);
}

/// Urgent flags where no data is, and a pointer without the flag.
void World::attack_urgent() {
  Random& random = attack_random_;
  count(Oddity::kUrgentPointer);
  const bool from_client = random.chance(50);
  Tcp segment = (from_client ? client_ : server_).segment_at(-1, "", now_);
  if (from_client && client_.established() && random.chance(70)) {
    segment = data_at(client_.nxt(), 1 + random.below(100), false);
  } else if (from_client) {
    segment.flags = kRst | kUrg;
    segment.seq += random.chance(50) ? 1 : 0;
  } else {
    // Of the SYN that the server has answered: its numbers are its own.
    segment.ack = (server_.peer_isn() != 0 ? server_.peer_isn() : client_.isn()) + 1;
    segment.flags = kAck | kUrg;
    if (random.chance(60)) {
      segment.flags = kSyn | kAck;  // with the flag it would be dropped
      segment.mss = 1400;
      if (client_.established()) segment.seq = client_.peer_isn();
    } else {
      segment.seq += 1;
    }
  }
  segment.urgent = static_cast<std::uint16_t>(1 + random.below(200));
  inject(segment, from_client);
}

/// What no listening stack sends.
void World::attack_from_server() {
  Random& random = attack_random_;
  count(Oddity::kServerOdd);
  Tcp segment = server_.segment_at(-1, "", now_);
  segment.flags = kSyn | kAck;
  segment.ack = client_.isn() + 1;
  segment.mss = 1400;
  switch (random.below(4)) {
    case 0:
      segment.ack += 1 + static_cast<std::uint32_t>(random.below(60000));
      break;
    case 1:
      segment.payload = make_message("HTTP/1.1 200 OK", "early");
      break;
    case 2:
      segment.seq += 1 + static_cast<std::uint32_t>(random.below(60000));
      break;
    default:
      segment.flags = random.chance(50) ? 0 : kPsh;
      segment.seq += 1;
      break;
  }
  inject(segment, false);
}

void World::attack_fragments(Oddity oddity) {
  Random& random = attack_random_;
  count(oddity);
  const std::int64_t nxt = client_.nxt();
  const bool overlap = oddity == Oddity::kFragmentOverlap;
  Tcp good = data_at(nxt, 120, !overlap && random.chance(30));
  good.ip_id = static_cast<std::uint16_t>(100 + next_ip_id_++);
  const Frame whole = write_frame(good);
  if (!overlap) {
    std::vector<Frame> pieces = write_fragments(whole, 8 * (5 + random.below(10)));
    if (random.chance(50)) std::reverse(pieces.begin(), pieces.end());
    if (good.ipv6 && random.chance(30)) {
      // An atomic one with the same id belongs to none of them (RFC 6946).
      Tcp atomic = data_at(nxt, 60, true);
      atomic.ip_id = good.ip_id;
      atomic.headers = {{Ip6Header::kFragment, 0}};
      pieces.insert(pieces.begin() + 1, write_frame(atomic));
    }
    for (Frame& piece : pieces) inject_frame(std::move(piece));
    return;
  }
  // Two datagrams that differ but for their first part, with one id: a checksum of the mixture is
  // right where the words swapped are.
  Tcp bad = data_at(nxt, 120, true);
  bad.ip_id = good.ip_id;
  const Frame other = write_frame(bad);
  const IpInfo ip = read_ip(whole);
  const std::size_t total = ip.end - ip.payload;
  const std::size_t middle = 48;
  std::vector<Frame> pieces = {
      write_fragment(random.chance(50) ? whole : other, 0, middle, true),
      write_fragment(whole, middle, 40, true),
      write_fragment(other, middle - 8 * random.below(3), 64, true),
      write_fragment(random.chance(50) ? whole : other, middle + 40, total - middle - 40, false)};
  if (random.chance(50)) std::swap(pieces[1], pieces[2]);
  for (Frame& piece : pieces) inject_frame(std::move(piece));
}

}  // namespace sluice::sim
