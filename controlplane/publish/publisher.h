// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/publish/control_segment.h"
#include "controlplane/publish/dataplane_view.h"
#include "controlplane/publish/generation_store.h"
#include "controlplane/publish/paths.h"
#include "dataplane/base/result.h"
#include "dataplane/config/diagnostics.h"

namespace sluice::publish {

using config::Diagnostic;

/// What the compiler is asked for. `stored`: take these texts instead of the files (recompiling an
/// old generation for another CPU).
struct BuildRequest {
  std::string policy;  ///< empty: none, every address is one service (offline)
  std::vector<Source> stored;
  std::uint64_t generation = 0;
  std::vector<std::string> rules;  ///< files instead of those that the policy names (offline)
  std::string cache_folder;        ///< of compiled databases; empty: none
  std::string state;               ///< what Include means by ${STATE}
  std::string from;                ///< folder of which a source must come; empty: none
};
struct BuildResult {
  std::vector<std::uint8_t> image;  ///< empty when there are errors
  std::vector<Diagnostic> errors, warnings;
  std::vector<Source> sources;
  std::string rules_json = "[]";  ///< [{"id","msg","severity","rev","tags","file","line","text"}]
  std::uint64_t rules = 0;
};
using Builder = std::function<BuildResult(const BuildRequest&)>;

struct PublishOptions {
  std::uint64_t answer_timeout_ms = 10'000;
  std::size_t keep = 50;  ///< generations kept on disk
  std::string version = "dev";
};

enum class Outcome : std::uint8_t {
  kLive,
  kStaged,
  kPending,  ///< no dataplane runs: it will be taken at its start
  kInvalid,  ///< errors in policy or rules
  kRefused,  ///< by the dataplane
  kTimeout,
  kNotFound,
  kFailed,  ///< the disk or another part of the environment
};
const char* outcome_name(Outcome outcome);

struct PublishReport {
  Outcome outcome = Outcome::kFailed;
  std::uint64_t generation = 0;
  std::string message;
  std::vector<Diagnostic> errors, warnings;
  std::uint64_t compile_ms = 0, publish_ms = 0;
  std::uint64_t rules = 0;
};

/// Makes generations, announces them and waits for the dataplane's answer. Calls may come from any
/// thread; those that publish wait for each other and take as long as a compilation and the answer.
class Publisher {
 public:
  Publisher(Paths paths, Builder builder, PublishOptions options);

  /// Attaches the control segment, re-applies switches and re-announces the stored live generation
  /// if the dataplane has none newer.
  base::Status open();

  /// from: a folder of which at least one source must come, else the generation is invalid; empty:
  /// none.
  PublishReport push(const std::string& policy, const std::string& who, const std::string& kind,
                     const std::string& from = "");
  PublishReport stage(const std::string& policy, const std::string& who);
  PublishReport promote(const std::string& who);
  /// Drops the staged generation.
  PublishReport unstage();
  /// number 0: the accepted one before the live one.
  PublishReport rollback(std::uint64_t number, const std::string& who);

  base::Status set_mode(std::optional<abi::Mode> mode, const std::string& service);
  base::Status set_bypass(bool on);
  [[nodiscard]] Switches switches();

  /// Once a second or so: heartbeat; takes note of pending generations that a dataplane took.
  void tick();

  [[nodiscard]] std::vector<Manifest> generations();
  [[nodiscard]] std::uint64_t live();
  [[nodiscard]] std::uint64_t staged();
  /// Why a process of the dataplane that runs cannot be reached; empty: it can, or none runs.
  [[nodiscard]] std::string out_of_reach();
  [[nodiscard]] base::Result<std::string> rules_json(std::uint64_t generation);
  [[nodiscard]] base::Result<std::string> image(std::uint64_t generation);
  [[nodiscard]] const Paths& paths() const { return paths_; }

 private:
  /// policy empty: the configured one.
  [[nodiscard]] BuildRequest request_for(const std::string& policy) const;
  PublishReport build_and_publish(const BuildRequest& request, const std::string& who,
                                  const std::string& kind, bool staged);
  PublishReport announce(std::uint64_t number, bool staged);
  PublishReport wait_for_answer(std::uint64_t number, bool staged);
  base::Status place_image(std::uint64_t number, std::string_view image);
  void remove_old_images();
  void accept(std::uint64_t number);
  void follow_control();
  void announce_stored();
  DataplaneView* dataplane();

  Paths paths_;
  Builder builder_;
  PublishOptions options_;
  GenerationStore store_;
  std::optional<ControlSegment> control_;
  std::unique_ptr<DataplaneView> view_;
  Switches switches_;
  std::mutex publish_mutex_;    ///< one publication at a time; held while compiling and waiting
                                ///< for the answer. control_ is changed under both
  std::recursive_mutex mutex_;  ///< view_ and switches_; held for moments only
};

/// The exit status of `sluicectl` for an outcome (interface.md).
int exit_status(Outcome outcome);

}  // namespace sluice::publish
