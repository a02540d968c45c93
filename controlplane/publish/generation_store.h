// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::publish {

/// One file that went into a generation.
struct Source {
  std::string path;  ///< as the operator wrote it, made absolute
  std::string text;
};

enum class GenerationState : std::uint8_t {
  kPending,   ///< written; no dataplane has answered yet
  kAccepted,  ///< a dataplane took it
  kRefused,   ///< a dataplane refused it; kept to be looked at, never loaded
};
const char* state_name(GenerationState state);

/// manifest.json of a generation.
struct Manifest {
  std::uint64_t number = 0;
  GenerationState state = GenerationState::kPending;
  std::string error;          ///< of a refused one
  std::string kind;           ///< push | stage | recompile | bundle
  std::uint64_t time_ns = 0;  ///< CLOCK_REALTIME
  std::string who;            ///< "uid 0 (root)"
  std::string version;        ///< of sluiced
  std::uint32_t abi_version = 0;
  std::string hyperscan_version;
  std::uint64_t cpu_features = 0;
  std::string image_sha256;
  std::uint64_t image_bytes = 0;
  std::uint64_t rules = 0;
  std::string policy;  ///< path of the policy among the sources
  struct SourceEntry {
    std::string path, sha256;
    std::uint64_t bytes = 0;
  };
  std::vector<SourceEntry> sources;
};

/// `<state>/generations` (abi/store.h). Keeps nothing in memory; one writer at a
/// time (its Publisher sees to that), readers at any time.
class GenerationStore {
 public:
  explicit GenerationStore(std::string state_folder);

  base::Status open();
  /// One more than the highest number ever given out.
  [[nodiscard]] std::uint64_t next_number() const;
  /// Writes manifest, image, sources and rules.json into a folder that is renamed into place.
  base::Status save(const Manifest& manifest, const std::vector<Source>& sources,
                    std::string_view image, std::string_view rules_json);
  base::Status set_state(std::uint64_t number, GenerationState state, const std::string& error);
  base::Status set_live(std::uint64_t number);
  /// What `live` names, else the newest accepted one, else nothing.
  [[nodiscard]] std::optional<std::uint64_t> live() const;

  [[nodiscard]] base::Result<Manifest> manifest(std::uint64_t number) const;
  [[nodiscard]] base::Result<std::string> image(std::uint64_t number) const;
  [[nodiscard]] base::Result<std::string> rules_json(std::uint64_t number) const;
  [[nodiscard]] base::Result<std::vector<Source>> sources(std::uint64_t number) const;
  /// All, ascending; unreadable ones are left out.
  [[nodiscard]] std::vector<Manifest> list() const;
  /// Whether set_live() has named it.
  [[nodiscard]] bool was_live(std::uint64_t number) const;
  /// Of the accepted ones below `number` that have been live, the one with the highest number: one
  /// that was only staged is nothing to go back to.
  [[nodiscard]] std::optional<std::uint64_t> live_before(std::uint64_t number) const;
  /// Removes the oldest beyond `keep`, never one of `needed`. Returns how many.
  std::size_t prune(std::size_t keep, const std::vector<std::uint64_t>& needed);

  [[nodiscard]] std::string folder(std::uint64_t number) const;

 private:
  [[nodiscard]] std::vector<std::uint64_t> numbers() const;
  std::string root_;
};

/// JSON of a manifest as stored and as `generations --json` shows it.
std::string manifest_json(const Manifest& manifest);

}  // namespace sluice::publish
