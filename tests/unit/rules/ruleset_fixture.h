// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/compile/compile.h"
#include "dataplane/base/arena.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/rules/collections.h"
#include "dataplane/rules/transaction.h"

namespace sluice::rules::test {

/// Rules compiled and opened as the dataplane opens them.
struct LoadedRules {
  std::vector<std::string> errors, warnings;
  compile::CompileReport report;
  std::vector<std::uint8_t> memory;  ///< the image, somewhere in here
  base::Bytes image;                 ///< on a 64-byte boundary
  std::unique_ptr<Ruleset> ruleset;  ///< null if there were errors
};
LoadedRules load_text(const std::string& text, const compile::CompileOptions& options = {});
LoadedRules load_files(const std::vector<std::string>& files,
                       const compile::CompileOptions& options = {});

/// What the rules said of one transaction.
struct Judged {
  abi::Verdict verdict;
  std::vector<std::uint32_t> ids;                  ///< of matches that are not nolog, in order
  std::vector<std::string> targets, values, sent;  ///< sent: Transaction::find_sent()
  std::vector<std::pair<std::uint64_t, std::uint64_t>> bodies;  ///< RuleMatch::body_from, body_to
  std::int32_t inbound = 0, outbound = 0;
  std::vector<std::string> tx;  ///< of Judge::tx_names, empty where unset
  std::vector<abi::Reason> limits;
  std::uint64_t steps = 0;  ///< of the budget
  bool exact = true;
  bool refused = false;  ///< the parser found no request
  [[nodiscard]] bool has(std::uint32_t id) const;
};

/// Memory for a table of persistent collections, as it lies in the shared segment.
class CollectionMemory {
 public:
  explicit CollectionMemory(std::size_t slots);
  [[nodiscard]] std::span<std::uint8_t> span() {
    return {reinterpret_cast<std::uint8_t*>(words_.data()), words_.size() * 8};
  }

 private:
  std::vector<std::uint64_t> words_;
};

/// One worker that judges raw requests (and responses) through the HTTP parser.
class Judge {
 public:
  /// collections: outlives this; null: persistent collections stay empty.
  explicit Judge(const Ruleset& ruleset, const CollectionTable* collections = nullptr);
  /// `response`: raw, may be empty: then phases 3 and 4 do not run.
  Judged run(std::string_view request, std::string_view response = {});
  [[nodiscard]] const WorkerState::Counts& counts() const { return worker_->counts(); }
  [[nodiscard]] std::size_t pool_bytes_used() const { return worker_->pool_bytes_used(); }
  TransactionInfo info;               ///< of the next request; run() counts the id up
  std::uint64_t slice_cycles = 1;     ///< WorkerState::begin_slice(): stops wherever it can
  std::size_t stops = 0;              ///< times that calls have stopped before their end
  std::vector<std::string> tx_names;  ///< members of TX that run() puts into Judged::tx

 private:
  void go_on(Transaction& transaction);

  const Ruleset& ruleset_;
  std::unique_ptr<WorkerState> worker_;
  std::vector<std::uint8_t> memory_;
};

}  // namespace sluice::rules::test
