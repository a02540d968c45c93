// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <vector>

#include "perf/gen/objects.h"
#include "perf/gen/profile.h"

namespace sluice::gen {

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `value`.
inline std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

/// What one transaction is: both sides work it out alone from what the handshake showed them, so
/// that the server knows every byte it must receive and the client every byte of the answer.
struct Step {
  std::uint16_t request = 0;
  std::uint16_t object = 0;
  std::uint32_t number = 0;
  bool attack = false;
};

/// The plan of a run.
class Script {
 public:
  /// attack_share: 0..1 of the transactions are drawn from `attacks`.
  Script(std::vector<RequestTemplate> honest, std::vector<RequestTemplate> attacks,
         double attack_share, std::vector<ResponseObject> objects)
      : requests_(std::move(honest)),
        honest_(static_cast<std::uint32_t>(requests_.size())),
        objects_(std::move(objects)) {
    for (RequestTemplate& attack : attacks) requests_.push_back(std::move(attack));
    if (requests_.size() > honest_) {
      attack_below_ = static_cast<std::uint64_t>(attack_share * 4294967296.0);
    }
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      for (std::uint32_t n = 0; n < objects_[i].weight; ++n) {
        wheel_.push_back(static_cast<std::uint16_t>(i));
      }
    }
  }

  /// The key of a connection, from the client's address, port and initial sequence number.
  static std::uint64_t connection_key(std::uint32_t address, std::uint16_t port,
                                      std::uint32_t initial_sequence) {
    return mix((static_cast<std::uint64_t>(address) << 32 | initial_sequence) ^
               static_cast<std::uint64_t>(port) << 16);
  }

  /// Transaction `index` (from 0) of a connection.
  [[nodiscard]] Step step(std::uint64_t key, std::uint32_t index) const {
    const std::uint64_t draw = mix(key + index);
    const std::uint64_t second = mix(draw);
    Step step;
    step.attack = (draw & 0xffffffffU) < attack_below_;
    const std::uint64_t first = step.attack ? honest_ : 0;
    const std::uint64_t count = step.attack ? requests_.size() - honest_ : honest_;
    step.request = static_cast<std::uint16_t>(first + ((draw >> 32) * count >> 32));
    step.object = wheel_[(second & 0xffffffffU) * wheel_.size() >> 32];
    step.number = static_cast<std::uint32_t>((second >> 32) * 100'000'000U >> 32);
    return step;
  }

  [[nodiscard]] const RequestTemplate& request(const Step& step) const {
    return requests_[step.request];
  }
  [[nodiscard]] const ResponseObject& object(const Step& step) const {
    return objects_[step.object];
  }
  [[nodiscard]] const std::vector<RequestTemplate>& requests() const { return requests_; }
  [[nodiscard]] bool is_attack(std::size_t request) const { return request >= honest_; }

 private:
  std::vector<RequestTemplate> requests_;  ///< honest ones, then attacks
  std::uint32_t honest_;
  std::uint64_t attack_below_ = 0;
  std::vector<ResponseObject> objects_;
  std::vector<std::uint16_t> wheel_;  ///< objects by weight
};

}  // namespace sluice::gen
