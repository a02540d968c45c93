// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/abi/reasons.h"

namespace sluice::abi {

/// off | monitor | block; the weakest of all that apply to a rule wins.
enum class Mode : std::uint8_t { kOff = 0, kMonitor = 1, kBlock = 2 };

constexpr Mode weakest(Mode a, Mode b) { return a < b ? a : b; }
constexpr std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return "off";
    case Mode::kMonitor:
      return "monitor";
    case Mode::kBlock:
      return "block";
  }
  return "unknown";
}

/// What is done with a request. kMonitor: would have been blocked, was forwarded.
enum class Action : std::uint8_t { kPass = 0, kMonitor = 1, kBlock = 2 };

constexpr std::string_view action_name(Action action) {
  switch (action) {
    case Action::kPass:
      return "pass";
    case Action::kMonitor:
      return "monitor";
    case Action::kBlock:
      return "block";
  }
  return "unknown";
}

/// The judgement on one request or response so far.
struct [[nodiscard]] Verdict {
  Action action = Action::kPass;
  Reason reason = Reason::kNone;
  std::uint16_t status = 0;   ///< of the reply: 403, 429, or what the rule says; 0 when passing
  std::uint8_t phase = 0;     ///< 1..4 of the deciding rule, 0 where no rule decided
  std::uint32_t rule_id = 0;  ///< the deciding rule, 0 where none did
  std::uint32_t retry_after_s = 0;  ///< of a 429, rounded up

  [[nodiscard]] bool blocks() const { return action == Action::kBlock; }
};

}  // namespace sluice::abi
