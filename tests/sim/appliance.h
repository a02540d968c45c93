// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/sim/endpoint.h"

namespace sluice::sim {

/// What was given to the judge of one incarnation of a connection, as it saw it.
struct Inspected {
  std::uint32_t client_isn = 0, server_isn = 0;
  std::string up, down;
};

/// The appliance between the two links: its own code is production code, this is its bench.
class Appliance {
 public:
  Appliance() = default;
  Appliance(const Appliance&) = delete;
  Appliance& operator=(const Appliance&) = delete;
  virtual ~Appliance() = default;

  /// Forgets everything. late_verdicts: some verdicts come at a later poll.
  virtual void start(std::uint64_t seed, bool late_verdicts) = 0;
  virtual void on_frame(bool from_outside, const Frame& frame, Nanos now) = 0;
  virtual void poll(Nanos now) = 0;
  /// Ends all connections. A sentence if memory or packets did not come back.
  virtual std::string finish(Nanos now) = 0;
  /// False: response bytes are not recorded, and a reply of the appliance may stand for them.
  [[nodiscard]] virtual bool judges_responses() const { return true; }

  /// {towards the server, frame}, in the order of leaving.
  std::vector<std::pair<bool, Frame>> outbox;
  std::vector<Inspected> inspected;
  OddityCounts* counts = nullptr;
};

}  // namespace sluice::sim
