// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/appliance.h"
#include "tests/sim/frame.h"

namespace sluice::sim {

/// Watches what passes the appliance towards the server, by its own few lines of TCP: what every
/// sound stack refuses must not leave, whether or not the stack of this seed would refuse it; no
/// byte that the server has not acknowledged leaves twice with two values; and what left in
/// sequence is what was inspected. It counts on one handshake; with a second one it says nothing
/// more.
class WireMonitor {
 public:
  /// held: packets may wait, so that an older one leaves behind a newer one.
  void start(bool held, bool replies) {
    *this = WireMonitor();
    held_ = held;
    replies_ = replies;
  }
  /// A frame that leaves at `now`, towards the server or towards the client.
  void watch(bool to_server, const Frame& frame, Nanos now);
  /// A frame that comes, whether it will leave or not.
  void enter(bool from_outside, const Frame& frame);
  /// At the end: "", or the first thing that was wrong.
  [[nodiscard]] std::string problem(const std::vector<Inspected>& all) const;

 private:
  static std::int32_t distance(std::uint32_t from, std::uint32_t to) {
    return static_cast<std::int32_t>(to - from);
  }
  std::string to_server(const Tcp& segment);
  std::string to_client(const Tcp& segment);
  std::string check_numbers(const Tcp& segment);
  std::string check_bytes(const Tcp& segment);

  std::string check_syn(const Tcp& segment);
  std::string check_end(const Tcp& segment);

  /// kReopened: a new SYN has left behind the connection, and no answer to it. It is remembered
  /// for abi::kHandshakeTimeoutNs, and the old numbers count again behind that.
  enum class Phase { kFirst, kAnswered, kOpen, kReopened, kLost } phase_ = Phase::kFirst;
  Nanos now_ = 0, reopened_ = 0;
  std::set<std::uint32_t> client_isns_;
  bool completed_ = false;               ///< what ends the handshake has come
  std::uint32_t client_acked_ = 0;       ///< the client's newest acknowledgement
  std::uint32_t client_window_max_ = 0;  ///< the widest that it offered
  bool client_timestamps_ = false, timestamps_ = false;
  int client_scale_ = -1, server_scale_ = 0;
  std::uint32_t client_isn_ = 0, server_isn_ = 0;
  std::uint32_t server_next_ = 0;  ///< behind the highest that left towards the client
  std::uint32_t una_ = 0;          ///< the server's newest acknowledgement
  std::uint32_t edge_ = 0;         ///< right edge of the server's window
  std::uint32_t highest_ = 0;      ///< behind the highest that left towards the server
  std::uint32_t newest_ = 0;       ///< timestamp that certainly left in order
  bool have_newest_ = false;
  std::set<std::uint32_t> server_acks_;  ///< every number that the server has acknowledged
  std::uint32_t server_has_ = 0;         ///< the newest of them, of what left
  std::vector<std::int16_t> left_;       ///< the client's stream, by what left first; -1: nothing
  std::size_t in_sequence_ = 0;          ///< bytes of it without a hole
  bool fin_left_ = false;
  std::uint32_t fin_ = 0;  ///< behind the last byte, once the client's FIN has left
  std::string problem_;
  bool held_ = false;
  bool replies_ = false;  ///< the appliance answers in the server's place
};

}  // namespace sluice::sim
