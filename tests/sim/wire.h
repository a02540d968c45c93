// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "tests/sim/appliance.h"

namespace sluice::sim {

/// Nothing between the links: every frame leaves as it came, and nothing is judged.
class Wire final : public Appliance {
 public:
  void start(std::uint64_t, const Conditions&) override {
    outbox.clear();
    bound_reached = true;  // no records are kept
  }
  void on_frame(bool from_outside, const Frame& frame, Nanos) override {
    outbox.emplace_back(from_outside, frame);
  }
  void poll(Nanos) override {}
  std::string finish(Nanos) override { return ""; }
  [[nodiscard]] bool monitors() const override { return true; }
};

}  // namespace sluice::sim
