// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/reassembly.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {

Reassembly::Datagram& Reassembly::find(std::uint16_t id) {
  const auto found = std::find_if(datagrams_.begin(), datagrams_.end(),
                                  [&](const Datagram& datagram) { return datagram.id == id; });
  if (found != datagrams_.end()) return *found;
  datagrams_.push_back({id, 0, {}});
  return datagrams_.back();
}

/// Linux looks for duplicates in runs: pieces that came one behind the other at the end.
Reassembly::Fit Reassembly::fit_linux(const Datagram& datagram, const Piece& piece, bool more) {
  std::size_t highest = 0;
  for (const Piece& other : datagram.pieces) highest = std::max(highest, other.end());
  const bool ended = datagram.total != 0;
  if (more ? ended && piece.end() > datagram.total
           : piece.end() < highest || (ended && piece.end() != datagram.total)) {
    return Fit::kOverlap;
  }
  // Runs, in the order of arrival: {begin, end}.
  std::vector<std::pair<std::size_t, std::size_t>> runs;
  std::size_t last = 0;  // the run at the end
  for (const Piece& other : datagram.pieces) {
    if (!runs.empty() && other.begin == runs[last].second) {
      runs[last].second = other.end();
      continue;
    }
    runs.emplace_back(other.begin, other.end());
    if (runs.back().second > runs[last].second) last = runs.size() - 1;
  }
  for (const auto& [begin, end] : runs) {
    if (piece.end() <= begin || piece.begin >= end) continue;
    return piece.begin >= begin && piece.end() <= end ? Fit::kDuplicate : Fit::kOverlap;
  }
  return Fit::kNew;
}

bool Reassembly::join(const Datagram& datagram, Policy policy, std::string& joined) {
  joined.assign(datagram.total, '\0');
  std::vector<bool> filled(datagram.total, false);
  for (const Piece& piece : datagram.pieces) {
    for (std::size_t i = 0; i < piece.data.size() && piece.begin + i < datagram.total; ++i) {
      const std::size_t at = piece.begin + i;
      if (!filled[at] || policy == Policy::kLast) joined[at] = piece.data[i];
      filled[at] = true;
    }
  }
  return datagram.total != 0 && std::find(filled.begin(), filled.end(), false) == filled.end();
}

bool Reassembly::add(const Frame& frame, Policy policy, Frame& whole) {
  const IpInfo ip = read_ip(frame);
  if (ip.end < ip.payload) return false;
  const Piece piece{ip.offset, std::string(frame.begin() + static_cast<std::ptrdiff_t>(ip.payload),
                                           frame.begin() + static_cast<std::ptrdiff_t>(ip.end))};
  Datagram& datagram = find(ip.id);
  const auto forget = [&] {
    std::erase_if(datagrams_, [&](const Datagram& other) { return other.id == ip.id; });
  };
  if (policy == Policy::kLinux) {
    const Fit fit = fit_linux(datagram, piece, ip.more);
    if (fit == Fit::kOverlap) forget();
    if (fit != Fit::kNew) return false;
  }
  datagram.pieces.push_back(piece);
  if (!ip.more) datagram.total = piece.end();
  std::string joined;
  if (!join(datagram, policy, joined)) return false;
  whole = write_joined(frame, joined);
  forget();
  return true;
}

}  // namespace sluice::sim
