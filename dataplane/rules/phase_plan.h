// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/variables.h"
#include "dataplane/base/bytes.h"

namespace sluice::rules {

class Ruleset;
struct TransactionState;

/// Which headers a request or response has, as far as gates ask for them: two bits a header.
class HeaderFacts {
 public:
  static constexpr std::size_t kHeadersMax = 32;  ///< gates on further ones stay open
  struct Fact {
    std::uint64_t present = 0;  ///< 0: not one of those that are kept
    std::uint64_t empty = 0;    ///< one of its values is empty, or of more than one line
  };

  /// The bits of a header, which gets some if there are any left.
  Fact add(abi::VariableId variable, std::string_view name);
  /// The bits that a header of a message sets.
  [[nodiscard]] std::uint64_t of(abi::VariableId variable, std::string_view name,
                                 base::Bytes value) const;

 private:
  struct Header {
    abi::VariableId variable;
    std::string_view name;
  };
  static constexpr std::size_t kLongName = 63;
  std::vector<Header> headers_;
  std::array<std::uint32_t, kLongName + 1> by_size_{};  ///< a bit for each header with that length
};

/// The rules of one phase, by position, and which of them are worth an evaluation: those that the
/// scans found a candidate for and, of those that nothing is scanned for, the ones whose gates are
/// open. Made when an image is opened, read-only afterwards. Apart from the rules, so that passing
/// over many of them touches few lines of memory.
class PhasePlan {
 public:
  void build(const Ruleset& ruleset, std::uint32_t phase, HeaderFacts& headers);

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(checks_.size()); }
  [[nodiscard]] std::size_t words() const { return always_.size(); }
  /// Sets `due` (words() long) to a bit for each position that must be looked at: those that may
  /// match, and while REQUEST_BODY is not scanned yet, its readers. O(words + gates + candidates).
  void mark_due(const TransactionState& state, std::uint64_t* due) const;
  /// Whether the scans found something for a rule, or it does not ask for that.
  [[nodiscard]] bool may_match(const TransactionState& state, std::uint32_t position) const;
  /// kNone32: nothing is scanned for it.
  [[nodiscard]] std::uint32_t check(std::uint32_t position) const { return checks_[position]; }
  [[nodiscard]] bool reads_body(std::uint32_t position) const {
    return (bodies_[position / 64] >> position % 64 & 1) != 0;
  }

 private:
  /// What must hold before a rule that nothing is scanned for can match.
  struct Gate {
    std::uint32_t position = 0;
    std::uint64_t required = 0, forbidden = 0;  ///< HeaderFacts
    /// Must have a member; kCount: none asked for.
    abi::VariableId list = abi::VariableId::kCount;
  };
  Gate gate_of(const Ruleset& ruleset, std::uint32_t rule, HeaderFacts& headers) const;

  std::vector<std::uint32_t> checks_;  ///< by position
  std::vector<std::uint64_t> always_, bodies_;
  std::vector<Gate> gates_;
  std::vector<std::uint32_t> first_;      ///< by check: where its positions begin
  std::vector<std::uint32_t> positions_;  ///< by check
};

/// All phases of a rule set.
struct PhasePlans {
  HeaderFacts headers;
  std::array<PhasePlan, abi::kPhaseCount> phases;

  void build(const Ruleset& ruleset);
};

}  // namespace sluice::rules
