// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/image.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/policy_view.h"
#include "dataplane/abi/verdict.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/rules/ruleset.h"

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
    std::string message;  ///< what was wrong, for a person
  };
  /// image: 64-byte aligned, read-only from now on, outlives the generation. Verifies it
  /// (rules::Ruleset::open) and prepares scratch for workers 0..workers-1. Allocates; never on a
  /// worker.
  static Opened open(base::Bytes image, std::size_t workers);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const abi::PolicyView& policy() const { return policy_; }
  [[nodiscard]] std::span<const abi::PolicyService> services() const { return services_; }
  [[nodiscard]] const rules::Ruleset& ruleset() const { return *ruleset_; }
  [[nodiscard]] base::Bytes image() const { return image_; }

  /// Index of the first service at address and port, or kNoService. O(1) for whole addresses,
  /// O(prefixes) for shorter ones.
  [[nodiscard]] std::uint16_t service_at(const base::IpAddress& address, std::uint16_t port) const;
  /// Index of the first service at the address, whatever the port: fragments, unknown protocols.
  [[nodiscard]] std::uint16_t service_at_address(const base::IpAddress& address) const;
  /// Whether the address is one that no outside frame may come from: a service's, but not by the
  /// prefix of all addresses.
  [[nodiscard]] bool is_own_address(const base::IpAddress& address, std::uint16_t port) const {
    const std::uint16_t service = service_at(address, port);
    return service != kNoService && !everywhere_[service];
  }
  /// Among the services of one address and port, the one whose host fits: `first` is what
  /// service_at() gave, host is in lower case without port. kNoService: each names hosts and none
  /// fits. O(services * hosts).
  [[nodiscard]] std::uint16_t service_for_host(std::uint16_t first, const base::IpAddress& address,
                                               std::uint16_t port, std::string_view host) const;

  /// The services that share an address and port with `service`, itself among them, as bits.
  [[nodiscard]] std::uint64_t neighbours(std::uint16_t service) const {
    return neighbours_[service];
  }

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
  void find_neighbours();
  [[nodiscard]] bool serves(const abi::PolicyService& service, const base::IpAddress& address,
                            std::uint16_t port) const;
  [[nodiscard]] bool serves_address(const abi::PolicyService& service,
                                    const base::IpAddress& address) const;

  struct alignas(abi::kCacheLineBytes) Pin {
    std::atomic<std::uint32_t> count{0};
  };
  /// One whole address and the run of its (port, service) pairs.
  struct Address {
    base::IpAddress address;
    std::uint32_t first = 0, count = 0;  ///< count 0: a free place
  };
  struct Port {
    std::uint16_t port, service;
    bool any;
  };
  struct Range {
    base::IpPrefix prefix;
    std::uint16_t service;
  };
  [[nodiscard]] const Address* find_address(const base::IpAddress& address) const;

  base::Bytes image_;
  std::uint64_t number_ = 0;
  abi::PolicyView policy_;
  std::span<const abi::PolicyService> services_;
  std::unique_ptr<rules::Ruleset> ruleset_;
  std::vector<Address> addresses_;  ///< open addressing, power of two
  std::vector<Port> ports_;
  std::vector<Range> ranges_;  ///< prefixes shorter than an address
  std::array<bool, abi::kServicesMax> everywhere_ = {};
  std::array<std::uint64_t, abi::kServicesMax> neighbours_ = {};
  std::array<Pin, abi::kWorkersMax> pins_;
};

}  // namespace sluice::engine
