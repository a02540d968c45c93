// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sluice::ctl {

/// Columns as wide as their widest cell; numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.size() < 2; }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

enum class Colour { kRed, kGreen, kYellow, kBold };
/// With escape sequences on a terminal only (and without NO_COLOR).
std::string coloured(const std::string& text, Colour colour);

/// Bytes of strangers, for a terminal: control bytes are escaped, long text is cut.
std::string printable(const std::string& text, std::size_t bytes_max = 200);

/// "1,234,567"
std::string grouped(std::uint64_t number);
/// "1 packet", "1,234 packets": `noun` in the singular, with a plural in s.
std::string counted(std::uint64_t number, const std::string& noun);

/// What a record, or its `staged`, says: "block (rules, score 5)".
std::string verdict_text(const nlohmann::json& said);

/// "24h", "10min", "90s", "7d" in seconds, or an ISO date. False when it is neither.
bool parse_since(const std::string& text, std::uint64_t now_ns, std::uint64_t& since_ns);

}  // namespace sluice::ctl
