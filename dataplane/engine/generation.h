// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/abi/image.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/policy.h"
#include "dataplane/abi/verdict.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"

namespace sluice::rules {
class Ruleset;
class WorkerState;
}  // namespace sluice::rules

/// One accepted generation as workers see it: the ruleset and the policy of an image, and how many
/// transactions of each worker still use it.
namespace sluice::engine {

inline constexpr std::uint16_t kNoService = 0xffff;

/// The switches wanted in a hurry (abi::ControlSegment), as the worker read them.
struct Switches {
  std::uint64_t version = 0;  ///< a change of it makes the engine look at the rest
  std::uint32_t mode = 0xff;  ///< abi::Mode, or abi::kModeUnset
  bool bypass = false;
  struct Service {
    std::uint64_t name_hash = 0;  ///< abi::fnv1a64 of the name; 0: none
    std::uint32_t mode = 0xff;
  };
  std::array<Service, abi::kServicesMax> services = {};
};

/// Made by the main thread from an image that stays where it is, read by workers. Only the pin
/// counters change, each written by its own worker.
class Generation {
 public:
  struct Opened {
    std::unique_ptr<Generation> generation;  ///< null: refused
    abi::ImageError error = abi::ImageError::kNone;
  };
  /// image: 64-byte aligned, read-only from now on, outlives the generation. Verifies it
  /// (rules::verify_image) and prepares scratch for `workers` (1..kWorkersMax) workers. Allocates;
  /// never on a worker.
  static Opened open(base::Bytes image, std::size_t workers);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const abi::PolicyHeader& policy() const { return *policy_; }
  [[nodiscard]] std::span<const abi::PolicyService> services() const { return services_; }
  [[nodiscard]] const rules::Ruleset& ruleset() const { return *ruleset_; }
  [[nodiscard]] rules::WorkerState& worker_state(std::size_t worker) const;
  [[nodiscard]] std::string_view text(const abi::StringRef& ref) const;
  [[nodiscard]] base::Bytes image() const { return image_; }

  /// Index of the first service at address and port, or kNoService. port -1: any port of the
  /// address (fragments, unknown protocols). O(1) for whole addresses, O(prefixes) for shorter.
  [[nodiscard]] std::uint16_t service_at(const base::IpAddress& address, int port) const;
  /// Among the services of one address and port, the one whose host fits. `first` is what
  /// service_at() gave; `host`: lower case, without port. kNoService: every one names hosts and
  /// none fits. O(services * hosts).
  [[nodiscard]] std::uint16_t service_for_host(std::uint16_t first, const base::IpAddress& address,
                                               std::uint16_t port, std::string_view host) const;

  /// Transactions of `worker` that use this generation. Writer: that worker (relaxed, then release
  /// on the way to 0). Reader: the main thread (acquire).
  [[nodiscard]] std::uint32_t pins(std::size_t worker) const {
    return pins_[worker].count.load(std::memory_order_acquire);
  }
  void pin(std::size_t worker) {
    auto& count = pins_[worker].count;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void unpin(std::size_t worker) {
    auto& count = pins_[worker].count;
    count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }

 private:
  Generation() = default;
  void index_services();

  struct alignas(abi::kCacheLineBytes) Pin {
    std::atomic<std::uint32_t> count{0};
  };
  /// One whole address and port, or port 0 for "any port of it".
  struct Endpoint {
    base::IpAddress address;
    std::uint16_t port = 0;
    std::uint16_t service = kNoService;
    std::uint32_t reserved = 0;
  };
  struct Range {
    base::IpPrefix prefix;
    std::uint16_t service = kNoService;
  };

  base::Bytes image_;
  std::uint64_t number_ = 0;
  const abi::PolicyHeader* policy_ = nullptr;
  std::span<const abi::PolicyService> services_;
  base::Bytes strings_;
  std::unique_ptr<rules::Ruleset> ruleset_;
  std::array<std::unique_ptr<rules::WorkerState>, abi::kWorkersMax> worker_states_;
  std::unique_ptr<Endpoint[]> endpoints_;  ///< open addressing, power of two
  std::size_t endpoint_mask_ = 0;
  std::unique_ptr<Range[]> ranges_;  ///< prefixes shorter than an address
  std::size_t range_count_ = 0;
  std::array<Pin, abi::kWorkersMax> pins_;
};

}  // namespace sluice::engine
