// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/frame.h"

namespace sluice::sim {

/// Joins IP fragments as one receiving stack does.
class Reassembly {
 public:
  /// kFirst, kLast: which byte of a place wins. kLinux: a piece that lies within what is there is
  /// dropped, any other overlap ends the datagram.
  enum class Policy { kFirst, kLast, kLinux };

  /// True: `whole` is the frame that this fragment has completed.
  bool add(const Frame& frame, Policy policy, Frame& whole);

 private:
  struct Piece {
    std::size_t begin;
    std::string data;
    [[nodiscard]] std::size_t end() const { return begin + data.size(); }
  };
  struct Datagram {
    std::uint16_t id;
    std::size_t total = 0;  ///< once its last piece is there
    std::vector<Piece> pieces;
  };
  enum class Fit { kNew, kDuplicate, kOverlap };

  Datagram& find(std::uint16_t id);
  static Fit fit_linux(const Datagram& datagram, const Piece& piece, bool more);
  static bool join(const Datagram& datagram, Policy policy, std::string& joined);

  std::vector<Datagram> datagrams_;
};

}  // namespace sluice::sim
