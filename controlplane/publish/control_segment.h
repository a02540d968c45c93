// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "controlplane/publish/file_io.h"
#include "dataplane/abi/segments.h"
#include "dataplane/base/result.h"

namespace sluice::publish {

/// Our end of the control segment: created by whoever comes first, kept over restarts of both.
class ControlSegment {
 public:
  /// Creates or attaches `<shm>/control`. Error: not ours, or of another ABI version.
  static base::Result<ControlSegment> attach(const std::string& shm);

  /// Says which generation shall be live (or staged; 0: none). The image must be in place.
  void announce(std::uint64_t generation);
  void announce_staged(std::uint64_t generation);
  [[nodiscard]] std::uint64_t announced() const;
  [[nodiscard]] std::uint64_t announced_staged() const;
  /// Tells the dataplane that we live. Once a second.
  void heartbeat(std::uint64_t monotonic_ns, std::uint64_t pid);

  [[nodiscard]] abi::ControlSegment& raw() { return *segment_; }
  /// The other side has made another one: ours was removed before it started.
  [[nodiscard]] bool replaced() const { return mapping_.replaced_at(path_); }

 private:
  std::string path_;
  Mapping mapping_;
  abi::ControlSegment* segment_ = nullptr;
};

/// The switches wanted in a hurry; they outlive pushes, restarts and reboots.
struct Switches {
  std::optional<abi::Mode> mode;  ///< unset: the policy's own
  bool bypass = false;
  std::map<std::uint64_t, abi::Mode> services;  ///< by fnv1a64 of the service's name

  friend bool operator==(const Switches&, const Switches&) = default;
};

std::optional<abi::Mode> parse_mode(std::string_view text);

/// Reads `<state>/switches`; a missing file gives defaults.
base::Result<Switches> load_switches(const std::string& state);
base::Status save_switches(const std::string& state, const Switches& switches);
/// Puts them into the segment. False when more services are named than it has room for.
bool apply_switches(const Switches& switches, abi::ControlSegment& segment);

}  // namespace sluice::publish
