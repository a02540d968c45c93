// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>

#include "dataplane/base/clock.h"

namespace sluice::worker {

/// Autonegotiation and the kernel's own notice take up to that long after a port was started: a
/// port that is not up yet is no reason to take the other one down.
inline constexpr base::Nanos kLinkSettles = 5 * base::kNanosPerSecond;

/// Takes one port of a link down while the other has lost its link, so that routers and bonds
/// beside Sluice see the fault as if the cable were one piece. Main thread.
class LinkMirror {
 public:
  /// started: when both ports were.
  explicit LinkMirror(base::Nanos started = 0)
      : settles_until_{started + kLinkSettles, started + kLinkSettles} {}

  /// up: what the ports say. set_link(side, up) changes one and says whether the device can.
  template <typename SetLink>
  void update(base::Nanos now, const std::array<bool, 2>& up, SetLink&& set_link) {
    for (std::size_t side = 0; side < 2; ++side) {
      const std::size_t other = 1 - side;
      if (forced_down_[side]) continue;  // its state is our doing and says nothing
      if (up[side]) settles_until_[side] = 0;
      if (up[side] && forced_down_[other]) {
        forced_down_[other] = !set_link(other, true);
        settles_until_[other] = now + kLinkSettles;
      } else if (!up[side] && now >= settles_until_[side] && up[other] && !cannot_force_[other]) {
        forced_down_[other] = set_link(other, false);
        cannot_force_[other] = !forced_down_[other];
      }
    }
  }
  /// Down by us, because of the other side.
  [[nodiscard]] bool forced_down(std::size_t side) const { return forced_down_[side]; }

 private:
  std::array<bool, 2> forced_down_ = {};
  std::array<bool, 2> cannot_force_ = {};
  std::array<base::Nanos, 2> settles_until_;
};

}  // namespace sluice::worker
