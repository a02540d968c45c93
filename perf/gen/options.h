// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "perf/gen/client.h"
#include "perf/gen/noise.h"
#include "perf/gen/packets.h"
#include "perf/gen/plan.h"
#include "perf/gen/port.h"
#include "perf/gen/server.h"

namespace sluice::gen {

/// Durations of the phases of RFC 9411 section 4.3.4, in seconds.
struct Phases {
  double initialise = 5;  ///< at most: links up, held connections open
  double ramp_up = 1;
  double sustain = 5;
  double ramp_down = 2;  ///< at most: until the last transaction and connection has ended
};

enum class AttackExpectation : std::uint8_t { kBlocked, kServed, kAny };

struct Options {
  std::string mode = "http";  ///< or packets
  PortOptions ports;
  AddressPlan plan;
  Client::Options client;
  Server::Options server;
  Noise::Options noise;
  PacketLoad::Options packets;
  Phases phases;
  std::vector<std::string> profiles;  ///< files of honest requests
  std::vector<std::string> attacks;   ///< files of attacks
  double attack_share = 0;
  AttackExpectation expect = AttackExpectation::kBlocked;
  std::string objects = "1k";
  double rate = 0;                 ///< transactions a second; 0: closed loop
  std::uint32_t held = 0;          ///< open loop: connections opened before the ramp
  std::uint32_t search_steps = 0;  ///< bisection for the highest lossless rate; 0: one run
  std::string output;              ///< of the JSON report; empty: standard output
  std::string command;             ///< as typed
};

/// What a command line means: options, or an exit status with the text already printed.
struct Parsed {
  Options options;
  int exit_status = -1;  ///< -1: go on
};

/// Reads and checks the command line. Every mistake is said on standard error; exit status 2.
Parsed parse_command_line(int argc, char** argv);

}  // namespace sluice::gen
