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

/// Which headers and which method a request has, and which headers its response, as far as gates
/// ask for them: bits of a word, given out in the order of asking. Gates that get none stay open.
class HeaderFacts {
 public:
  struct Fact {
    std::uint64_t present = 0;  ///< 0: not one of those that are kept
    std::uint64_t empty = 0;    ///< one of its values is empty, or of more than one line
  };

  /// The bits of a header.
  Fact add(abi::VariableId variable, std::string_view name);
  /// The bit of a method, in any spelling; 0: none left.
  std::uint64_t add_method(std::string_view method);
  /// A bit that any of these names of request headers sets, and one that any name with `/` or `_`
  /// in it sets; 0: none left.
  std::uint64_t add_names(std::span<const std::string_view> names);

  /// The bits that a header of a message sets.
  [[nodiscard]] std::uint64_t of(abi::VariableId variable, std::string_view name,
                                 base::Bytes value) const;
  [[nodiscard]] std::uint64_t of_method(std::string_view method) const;

 private:
  struct Entry {
    abi::VariableId variable;
    std::string_view name;
    std::uint64_t present, empty;
  };
  static constexpr std::size_t kEntriesMax = 64, kLongName = 63;
  static constexpr std::uint64_t kOddName = std::uint64_t{1} << 63;

  /// The next bit that is not given out; 0: none left.
  std::uint64_t new_bit();
  void keep(const Entry& entry);
  [[nodiscard]] std::uint64_t entries(std::string_view name) const {
    return by_size_[name.size() < kLongName ? name.size() : kLongName];
  }

  std::vector<Entry> entries_;
  std::array<std::uint64_t, kLongName + 1> by_size_{};  ///< a bit for each entry with that length
  unsigned bits_ = 0;
  bool watches_names_ = false;
};

/// The rules of one phase, by position, and which of them are worth an evaluation: those that the
/// scans found a candidate for and, of those that nothing is scanned for, the ones whose gates are
/// open. Rules that wait (kRuleDeferred) are never due. Made when an image is opened, read-only
/// afterwards. Apart from the rules, so that passing over many of them touches few lines of memory.
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
  /// What must hold, besides the scans, before a rule can match.
  struct Gate {
    std::uint32_t position = 0;
    std::uint64_t required = 0, forbidden = 0;  ///< HeaderFacts
    std::uint64_t any = 0;                      ///< one of these; 0: none is asked for
    /// Must have a member; kCount: none asked for.
    abi::VariableId list = abi::VariableId::kCount;

    [[nodiscard]] bool asks() const {
      return (required | forbidden | any) != 0 || list != abi::VariableId::kCount;
    }
    [[nodiscard]] bool is_open(const TransactionState& state) const;
  };
  Gate gate_of(const Ruleset& ruleset, std::uint32_t rule, HeaderFacts& headers) const;

  std::vector<std::uint32_t> checks_;  ///< by position
  std::vector<std::uint64_t> always_, bodies_;
  std::vector<Gate> gates_;               ///< of rules that nothing is scanned for
  std::vector<Gate> scanned_gates_;       ///< of the others
  std::vector<std::uint16_t> gate_of_;    ///< by position: into scanned_gates_, or kNone16
  std::vector<std::uint32_t> first_;      ///< by check: where its positions begin
  std::vector<std::uint32_t> positions_;  ///< by check
};

/// All phases of a rule set.
struct PhasePlans {
  HeaderFacts headers;
  std::array<PhasePlan, abi::kPhaseCount> phases;
  std::vector<std::uint32_t> deferred;  ///< rules, in order

  void build(const Ruleset& ruleset);
};

}  // namespace sluice::rules
