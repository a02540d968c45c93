// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/appliance.h"
#include "tests/sim/endpoint.h"
#include "tests/sim/linux_stack.h"
#include "tests/sim/oddities.h"
#include "tests/sim/wire_monitor.h"

namespace sluice::sim {

/// What a seed stands for; every part has its own generator, so that leaving one out changes no
/// other: that is how failures are shrunk.
struct Plan {
  std::uint64_t seed = 0;
  bool honest = true;
  OdditySet oddities;
};
Plan draw_plan(std::uint64_t seed);

/// Client, attacker, links, appliance and server under one virtual clock.
class World {
 public:
  World(Appliance& appliance, OddityCounts& counts) : appliance_(appliance), counts_(counts) {}

  /// Runs one plan to its end. "" if every invariant held, else what was broken.
  std::string run(const Plan& plan);
  /// Frames are written to stderr as they pass.
  bool trace = false;
  /// Where set, the server is the kernel, and the model beside it must deliver the same.
  LinuxStack* linux = nullptr;
  std::uint64_t unsure = 0;  ///< seeds in which the model did not know what the kernel does

 private:
  enum class At { kApplianceOutside, kApplianceInside, kClient, kServer, kAttack, kTick };
  struct Event {
    Nanos time;
    std::uint64_t order;
    At at;
    Frame frame;
    bool operator<(const Event& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  void set_up(const Plan& plan);
  Endpoint::Options server_options(Endpoint::Options options, Random& random);
  void server_frame(const Frame& frame);
  void make_streams();
  void schedule_attacks();
  void handle(const Event& event);
  void step();
  void push(Nanos time, At at, Frame frame = {});
  void carry(Frame frame, At to);
  void flush();
  void application();
  std::string judge(const Plan& plan);
  std::string check_delivered();
  std::string check_model();
  [[nodiscard]] const std::vector<Delivered>& at_server() const {
    return linux != nullptr ? linux->delivered : server_.delivered;
  }
  std::string check_responses();
  std::string check_records(const Plan& plan);
  [[nodiscard]] bool all_done() const;

  // attacker.cc
  void attack(Oddity oddity);
  void inject(const Tcp& segment, bool from_client = true);
  void inject_frame(Frame frame, bool from_client = true);
  [[nodiscard]] std::string other_bytes(std::int64_t offset, std::size_t bytes) const;
  Tcp data_at(std::int64_t offset, std::size_t bytes, bool bad);
  void attack_with_data(Oddity oddity);
  void attack_state(Oddity oddity);
  void attack_handshake(Oddity oddity);
  void attack_from_server();
  void attack_with_numbers(Oddity oddity);
  void attack_urgent();
  void attack_fragments(Oddity oddity);

  [[nodiscard]] bool has(Oddity oddity) const {
    return plan_.oddities[static_cast<std::size_t>(oddity)];
  }
  void count(Oddity oddity) { ++counts_[static_cast<std::size_t>(oddity)]; }

  Appliance& appliance_;
  OddityCounts& counts_;
  Plan plan_;
  Endpoint client_, server_;
  WireMonitor monitor_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  Nanos now_ = 0;
  Random link_random_{1}, attack_random_{1};
  unsigned loss_percent_ = 0, reorder_percent_ = 0, duplicate_percent_ = 0;
  std::string requests_, other_requests_;  ///< what the client sends, and the same with bad words
  std::string responses_;                  ///< what the server will have said
  std::size_t answered_ = 0;               ///< bytes of delivered requests that were answered
  std::size_t first_batch_ = 0;
  bool long_body_ = false;
  std::uint16_t next_ip_id_ = 1;
};

}  // namespace sluice::sim
