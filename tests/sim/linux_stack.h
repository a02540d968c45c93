// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/endpoint.h"

namespace sluice::sim {

/// The TCP of the kernel that this runs on, as the simulator's server: a listening socket in a
/// network namespace of this process, behind a tap device. A frame is written to the device, and
/// when write() returns the kernel has done with it and its answers lie ready: no clock is involved
/// but for the timers of the kernel, which are far slower than a seed.
///
/// The simulator's addresses and numbers stay its own: on the way each seed gets another client
/// address, so that nothing of an earlier one is found, and the kernel's initial sequence number is
/// moved to the one that the model has drawn. VLAN tags are taken off.
class LinuxStack {
 public:
  /// Moves this process into a network namespace of its own; needs root. Null and `problem` if that
  /// cannot be.
  static std::unique_ptr<LinuxStack> make(std::string& problem);
  LinuxStack(const LinuxStack&) = delete;
  LinuxStack& operator=(const LinuxStack&) = delete;
  ~LinuxStack();

  /// The model was held against this version. Of another one a difference is a finding, not a
  /// failure: the simulator counts it with what the model does not claim to know.
  [[nodiscard]] static bool is_measured_version();
  struct Options {
    bool ipv6 = false, sack = true;
    bool short_of_memory = false;
    int window_bytes = 0;  ///< the kernel offers no more
  };
  /// Listens anew.
  void start(const Options& options);
  /// server_isn: by which the connection that this frame may begin is to be known.
  void on_frame(const Frame& frame, std::uint32_t server_isn);
  /// Of the newest connection.
  void send(std::string_view bytes);
  void finish();

  std::vector<Frame> outbox;
  std::vector<Delivered> delivered;

 private:
  struct Socket {
    int descriptor;
    std::size_t record;  ///< in `delivered`
    bool finished = false;
  };

  LinuxStack() = default;
  bool set_up(std::string& problem);
  void collect(std::uint32_t server_isn);
  void take_answer(Frame& frame, std::uint32_t server_isn);
  void read_sockets();
  void close_sockets();

  int tap_ = -1, listener_ = -1;
  std::vector<Socket> sockets_;
  bool ipv6_ = false;
  std::uint32_t runs_ = 0, address_ = 0;
  std::uint32_t kernel_isn_ = 0, shift_ = 0;  ///< kernel's numbers and the simulator's
  std::uint32_t client_isn_ = 0, server_isn_ = 0;
};

}  // namespace sluice::sim
