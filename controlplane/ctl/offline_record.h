// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dataplane/engine/events.h"

namespace sluice::ctl {

/// What the compiler says about rules (publish::BuildResult::rules_json), by id.
class RuleTexts {
 public:
  explicit RuleTexts(const std::string& rules_json);
  struct Text {
    std::string msg, severity, file, text;
    std::vector<std::string> tags;
    std::uint64_t line = 0;
  };
  /// nullptr for an id that no rule has.
  [[nodiscard]] const Text* find(std::uint32_t id) const;

 private:
  std::map<std::uint32_t, Text> texts_;
};

/// One transaction in the shape of interface.md ("check").
nlohmann::json to_json(const engine::TransactionRecord& record, const RuleTexts& texts);

}  // namespace sluice::ctl
