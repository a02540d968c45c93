// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/generation.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace sluice::engine {
namespace {

/// Not keyed: the table holds the operator's own addresses, which no attacker chooses.
std::size_t hash_address(const base::IpAddress& address) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes, sizeof words);
  const std::uint64_t mixed =
      (words[0] ^ (words[1] * 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL;
  return static_cast<std::size_t>(mixed >> 32);
}

base::IpPrefix prefix_of(const abi::PolicyPrefix& prefix) {
  base::IpPrefix result;
  std::memcpy(result.address.bytes, prefix.address, sizeof prefix.address);
  result.bits = prefix.prefix_bits;
  return result;
}

}  // namespace

Generation::Opened Generation::open(base::Bytes image, std::size_t workers) {
  Opened opened;
  auto ruleset = rules::Ruleset::open(image, static_cast<std::uint32_t>(workers), opened.error);
  if (!ruleset.ok()) {
    opened.message = ruleset.error().message;
    return opened;
  }
  const abi::PolicyView policy(image);
  if (!policy.valid()) {
    opened.error = abi::ImageError::kPolicy;
    opened.message = abi::image_error_text(opened.error);
    return opened;
  }
  std::unique_ptr<Generation> generation(new Generation());
  generation->image_ = image;
  generation->number_ = reinterpret_cast<const abi::ImageHeader*>(image.data())->generation;
  generation->policy_ = policy;
  generation->services_ = policy.services();
  generation->ruleset_ = std::move(ruleset).value();
  generation->index_services();
  generation->find_neighbours();
  opened.generation = std::move(generation);
  return opened;
}

void Generation::index_services() {
  std::map<base::IpAddress, std::vector<Port>> by_address;
  for (std::size_t i = 0; i < services_.size(); ++i) {
    const auto service = static_cast<std::uint16_t>(i);
    const auto ports = policy_.items<std::uint16_t>(services_[i].ports);
    for (const abi::PolicyPrefix& prefix :
         policy_.items<abi::PolicyPrefix>(services_[i].addresses)) {
      const base::IpPrefix range = prefix_of(prefix);
      const unsigned family_bits = range.address.is_v4() ? 96 : 0;
      if (range.bits <= family_bits) everywhere_[i] = true;
      if (range.bits < 128) {
        ranges_.push_back({range, service});
        continue;
      }
      std::vector<Port>& list = by_address[range.address];
      for (const std::uint16_t port : ports) list.push_back({port, service, false});
      if (ports.empty()) list.push_back({0, service, true});
    }
  }
  std::size_t places = 16;
  while (places < 4 * by_address.size()) places *= 2;
  addresses_.resize(places);
  for (const auto& [address, list] : by_address) {
    std::size_t at = hash_address(address) & (places - 1);
    while (addresses_[at].count != 0) at = (at + 1) & (places - 1);
    addresses_[at] = {address, static_cast<std::uint32_t>(ports_.size()),
                      static_cast<std::uint32_t>(list.size())};
    ports_.insert(ports_.end(), list.begin(), list.end());
  }
}

void Generation::find_neighbours() {
  static_assert(abi::kServicesMax <= 64);
  for (std::size_t i = 0; i < services_.size(); ++i) {
    neighbours_[i] |= std::uint64_t{1} << i;
    const auto ports = policy_.items<std::uint16_t>(services_[i].ports);
    for (const auto& prefix : policy_.items<abi::PolicyPrefix>(services_[i].addresses)) {
      const base::IpAddress address = prefix_of(prefix).address;
      for (std::size_t k = 0; k < services_.size(); ++k) {
        bool shared = ports.empty() && serves_address(services_[k], address);
        for (const std::uint16_t port : ports) {
          shared = shared || serves(services_[k], address, port);
        }
        if (!shared) continue;
        neighbours_[i] |= std::uint64_t{1} << k;
        neighbours_[k] |= std::uint64_t{1} << i;
      }
    }
  }
}

const Generation::Address* Generation::find_address(const base::IpAddress& address) const {
  const std::size_t mask = addresses_.size() - 1;
  for (std::size_t at = hash_address(address) & mask; addresses_[at].count != 0;
       at = (at + 1) & mask) {
    if (addresses_[at].address == address) return &addresses_[at];
  }
  return nullptr;
}

std::uint16_t Generation::service_at(const base::IpAddress& address, std::uint16_t port) const {
  if (const Address* entry = find_address(address); entry != nullptr) {
    for (std::uint32_t i = 0; i < entry->count; ++i) {
      const Port& candidate = ports_[entry->first + i];
      if (candidate.any || candidate.port == port) return candidate.service;
    }
  }
  for (const Range& range : ranges_) {
    if (!range.prefix.contains(address)) continue;
    const auto ports = policy_.items<std::uint16_t>(services_[range.service].ports);
    if (ports.empty() || std::find(ports.begin(), ports.end(), port) != ports.end()) {
      return range.service;
    }
  }
  return kNoService;
}

std::uint16_t Generation::service_at_address(const base::IpAddress& address) const {
  if (const Address* entry = find_address(address); entry != nullptr) {
    return ports_[entry->first].service;
  }
  for (const Range& range : ranges_) {
    if (range.prefix.contains(address)) return range.service;
  }
  return kNoService;
}

bool Generation::serves(const abi::PolicyService& service, const base::IpAddress& address,
                        std::uint16_t port) const {
  const auto ports = policy_.items<std::uint16_t>(service.ports);
  if (!ports.empty() && std::find(ports.begin(), ports.end(), port) == ports.end()) return false;
  return serves_address(service, address);
}

bool Generation::serves_address(const abi::PolicyService& service,
                                const base::IpAddress& address) const {
  for (const abi::PolicyPrefix& prefix : policy_.items<abi::PolicyPrefix>(service.addresses)) {
    if (prefix_of(prefix).contains(address)) return true;
  }
  return false;
}

std::uint16_t Generation::service_for_host(std::uint16_t first, const base::IpAddress& address,
                                           std::uint16_t port, std::string_view host) const {
  // The usual case: one service at this address and port, which takes every host.
  if (services_[first].hosts.count == 0 && services_.size() == 1) return first;
  std::uint16_t any_host = kNoService;
  for (std::size_t i = 0; i < services_.size(); ++i) {
    const abi::PolicyService& service = services_[i];
    if (!serves(service, address, port)) continue;
    if (service.hosts.count == 0) {
      if (any_host == kNoService) any_host = static_cast<std::uint16_t>(i);
      continue;
    }
    for (const abi::StringRef& name : policy_.items<abi::StringRef>(service.hosts)) {
      if (policy_.text(name) == host) return static_cast<std::uint16_t>(i);
    }
  }
  return any_host;
}

}  // namespace sluice::engine
