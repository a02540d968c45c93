// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <vector>

namespace sluice::gen {

/// Deadlines of connections by number, in ticks of 4 ms. Lazy: a connection stands in the wheel at
/// most once, and whoever it fires for says when to look again. So moving a deadline costs nothing.
class TimerWheel {
 public:
  static constexpr std::uint64_t kTickNanos = 4'000'000;
  static constexpr std::uint32_t kSlots = 4096;  ///< 16 seconds
  static constexpr std::uint32_t kNone = 0xffffffffU;

  explicit TimerWheel(std::size_t connections)
      : heads_(kSlots, kNone), next_(connections, kNone), armed_(connections, 0) {}

  [[nodiscard]] std::uint32_t now() const { return now_; }

  /// Sees to it that `connection` fires at or before `tick`, if it is not in the wheel already.
  void arm(std::uint32_t connection, std::uint32_t tick) {
    if (armed_[connection] != 0) return;
    armed_[connection] = 1;
    insert(connection, tick);
  }

  /// Moves on to the tick of `now_ns`; calls fire(connection), which returns the tick to be called
  /// again at, or 0 for never.
  template <typename Fire>
  void advance(std::uint64_t now_ns, Fire fire) {
    const auto target = static_cast<std::uint32_t>(now_ns / kTickNanos);
    while (now_ < target) {
      ++now_;
      std::uint32_t at = heads_[now_ % kSlots];
      heads_[now_ % kSlots] = kNone;
      while (at != kNone) {
        const std::uint32_t following = next_[at];
        const std::uint32_t again = fire(at);
        if (again == 0) {
          armed_[at] = 0;
        } else {
          insert(at, again);
        }
        at = following;
      }
    }
  }

 private:
  void insert(std::uint32_t connection, std::uint32_t tick) {
    if (tick <= now_) tick = now_ + 1;
    if (tick - now_ >= kSlots) tick = now_ + kSlots - 1;
    next_[connection] = heads_[tick % kSlots];
    heads_[tick % kSlots] = connection;
  }

  std::uint32_t now_ = 0;
  std::vector<std::uint32_t> heads_;
  std::vector<std::uint32_t> next_;
  std::vector<std::uint8_t> armed_;
};

}  // namespace sluice::gen
