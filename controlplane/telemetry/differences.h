// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/telemetry/record.h"

namespace sluice::telemetry {

/// Where the verdicts of the staged generation differ from those of the live one: how many requests
/// were judged by both, how many verdicts differ, and the newest records that show it. Kept in a
/// file, so that a restart of sluiced does not begin anew.
class StagedDifferences {
 public:
  static constexpr std::size_t kRecordsKept = 50;

  /// A dataplane was attached, which has judged `requests` so far. If it is the one that the counts
  /// are of, those that it has judged since they were saved count too.
  void attach(std::uint64_t dataplane_start_ns, std::uint64_t requests);
  /// Counts what was judged since the last call. staged: 0 is none; another one begins at 0.
  void judged(std::uint64_t staged, std::uint64_t requests);
  /// Takes a record of a transaction whose verdicts differ (kEventStagedDiffers). line: its JSON,
  /// without an end of line.
  void note(const Record& record, const std::string& line);

  /// {"generation","judged","differ","stricter","weaker","requests":[records]}.
  [[nodiscard]] std::string json() const;

  /// What load() reads; small.
  void save(const std::string& path) const;
  /// Nothing where the file is missing or damaged: the counts begin at 0.
  void load(const std::string& path);

 private:
  std::uint64_t generation_ = 0, judged_ = 0, differ_ = 0, stricter_ = 0, weaker_ = 0;
  std::vector<std::string> newest_;
  std::uint64_t dataplane_start_ns_ = 0, requests_seen_ = 0;
};

}  // namespace sluice::telemetry
