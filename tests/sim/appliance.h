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
  /// A request as it entered the rules room.
  struct Request {
    std::string head, body;
  };
  std::uint32_t client_isn = 0, server_isn = 0;
  std::string up, down;           ///< in-order bytes, as the stream room gave them
  std::vector<Request> requests;  ///< where has_rules()
};

/// The appliance between the two links: its own code is production code, this is its bench.
class Appliance {
 public:
  Appliance() = default;
  Appliance(const Appliance&) = delete;
  Appliance& operator=(const Appliance&) = delete;
  virtual ~Appliance() = default;

  struct Conditions {
    bool late_verdicts = false;  ///< some verdicts come at a later poll
    std::size_t blocks = 0;      ///< where has_small_pools(): all the memory there is; 0: plenty
  };
  /// Forgets everything.
  virtual void start(std::uint64_t seed, const Conditions& conditions) = 0;
  virtual void on_frame(bool from_outside, const Frame& frame, Nanos now) = 0;
  virtual void poll(Nanos now) = 0;
  /// Ends all connections. A sentence if memory or packets did not come back.
  virtual std::string finish(Nanos now) = 0;
  /// False: response bytes are not recorded, and a reply of the appliance may stand for them.
  [[nodiscard]] virtual bool judges_responses() const { return true; }
  /// True: `Inspected::requests` is recorded at the input of the rules room.
  [[nodiscard]] virtual bool has_rules() const { return false; }
  [[nodiscard]] virtual bool has_small_pools() const { return false; }
  /// True: in monitor, where every frame leaves as it came and bad requests are only recorded.
  [[nodiscard]] virtual bool monitors() const { return false; }

  /// {towards the server, frame}, in the order of leaving.
  std::vector<std::pair<bool, Frame>> outbox;
  std::vector<Inspected> inspected;
  std::size_t recorded_bad = 0;  ///< requests that the records call bad, after finish()
  bool bound_reached = false;    ///< the records name a bound of the stream room
  OddityCounts* counts = nullptr;
};

}  // namespace sluice::sim
