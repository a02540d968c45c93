// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/abi/counters.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/result.h"
#include "dataplane/engine/engine.h"
#include "dataplane/limit/table.h"
#include "dataplane/rules/collections.h"
#include "dataplane/rules/transaction.h"

namespace sluice::ctl {

/// The engine of one worker without ports: frames are vectors, the clock is whatever the caller
/// says. What `check`, `replay` and `rules` run is the class that runs on the wire.
class OfflineEngine {
 public:
  struct Options {
    std::size_t flows_max = 64, transactions_max = 64;
    bool with_limits = false;  ///< a limit table of its own; without one limits are not checked
  };
  using OnTransaction = std::function<void(const engine::TransactionRecord&)>;
  /// A frame leaves on side `out`. Borrowed for the call.
  using OnLeave = std::function<void(engine::Side out, base::Bytes frame)>;

  /// Opens an image as the dataplane does. Error: why it was refused.
  static base::Result<std::unique_ptr<OfflineEngine>> create(const std::vector<std::uint8_t>& image,
                                                             const Options& options);
  OfflineEngine(const OfflineEngine&) = delete;
  OfflineEngine& operator=(const OfflineEngine&) = delete;
  ~OfflineEngine();

  // RequestJudge takes its own call away again before what it refers to ends.
  // cppcheck-suppress danglingLifetime
  void on_transaction(OnTransaction call) { on_transaction_ = std::move(call); }
  void on_leave(OnLeave call) { on_leave_ = std::move(call); }

  /// One frame, as it came in on `side`. checked: its checksums need not be looked at. Returns why
  /// it was dropped, or kNone.
  abi::Reason push(engine::Side side, base::Bytes frame, bool checked);
  /// Time never goes back; timers that are due run.
  void set_time(base::Nanos now, std::uint64_t wall_ns);
  /// Every connection ends here: what was under way gets its record.
  void close_all();

  /// One for each rule of the image, from now on; read it when nothing is under way.
  const std::vector<rules::RuleCost>& measure_rules();
  [[nodiscard]] const engine::Generation& generation() const { return *generation_; }

 private:
  struct Slot {
    std::vector<std::uint8_t> frame;
    bool used = false;
  };
  struct Free {
    void operator()(std::uint8_t* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<std::uint8_t, Free>;

  OfflineEngine() = default;
  static base::MutableBytes allocate(std::size_t bytes, Memory& owner);
  net::PacketRef store(base::Bytes frame, std::size_t bytes);
  Slot& slot(net::PacketRef packet) { return slots_[packet.handle - 1]; }
  void release(net::PacketRef packet);
  engine::PacketPort port();

  Memory image_memory_, limit_memory_, collections_memory_;
  base::HashKey hash_key_{};
  std::unique_ptr<engine::Generation> generation_;
  std::unique_ptr<limit::Table> limits_;
  rules::CollectionTable collections_;  ///< private; lives as long as the engine
  std::unique_ptr<abi::WorkerCounters> counters_;
  std::vector<rules::RuleCost> costs_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  base::Nanos now_ = base::kNanosPerSecond;
  std::uint64_t wall_ = 0;
  OnTransaction on_transaction_;
  OnLeave on_leave_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace sluice::ctl
