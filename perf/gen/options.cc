// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace sluice::gen {
namespace {

constexpr std::uint32_t kConnectionsMax = 4'000'000;

/// What the command line gives as text.
struct Texts {
  std::string clients = "10.100.0.0", server = "10.10.0.2:80", expect = "blocked";
  std::uint32_t timeout_ms = 10'000;
};

void add_ports(CLI::App& app, Options& o) {
  app.add_option("--client-port", o.ports.client_device,
                 "device of the client side: PCI address or vdev, as net_memif0,role=client,id=0,"
                 "socket=/run/a.sock; left out: the clients run elsewhere");
  app.add_option("--server-port", o.ports.server_device, "device of the server side, likewise");
  app.add_option("--core", o.ports.core, "processor to run on (default: the current one)");
  app.add_option("--memory", o.ports.memory_mb, "MB for packet buffers")
      ->check(CLI::Range(64U, 65536U))
      ->capture_default_str();
  app.add_flag("--huge-pages", o.ports.huge_pages, "take the memory from huge pages");
  app.add_option("--mtu", o.ports.mtu, "bytes of an IP packet, both sides")
      ->check(CLI::Range(576U, 9000U))
      ->capture_default_str();
  app.add_option("--descriptors", o.ports.descriptors, "of each queue")
      ->check(CLI::Range(64U, 16384U))
      ->capture_default_str();
  app.add_option("--eal", o.ports.eal, "a further EAL argument; may be repeated");
}

void add_traffic(CLI::App& app, Options& o, Texts& texts) {
  app.add_option("--mode", o.mode, "http: transactions; packets: plain UDP packets")
      ->check(CLI::IsMember({"http", "packets"}))
      ->capture_default_str();
  app.add_option("--clients", o.plan.clients, "number of client addresses")
      ->check(CLI::Range(1U, 1U << 20))
      ->capture_default_str();
  app.add_option("--client-network", texts.clients, "first client address")->capture_default_str();
  app.add_option("--server-address", texts.server, "address:port of the server")
      ->capture_default_str();
  app.add_option("--connections", o.plan.connections,
                 "at a time; without --rate all are kept busy (closed loop)")
      ->check(CLI::Range(1U, kConnectionsMax))
      ->capture_default_str();
  app.add_option("--held", o.held, "connections opened first and then used in turn (with --rate)")
      ->check(CLI::Range(0U, kConnectionsMax));
  app.add_option("--keepalive", o.client.keepalive, "transactions per connection; 0: without end")
      ->capture_default_str();
  app.add_option("--rate", o.rate,
                 "transactions (or packets) a second, each due at its time whether or not earlier "
                 "ones are done (open loop); 0: closed loop")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--profile", o.profiles, "file of raw requests; may be repeated");
  app.add_option("--attacks", o.attacks, "file of raw requests that must be stopped");
  app.add_option("--attack-share", o.attack_share, "share of the transactions that are attacks")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--expect-attacks", texts.expect, "what makes the run valid")
      ->check(CLI::IsMember({"blocked", "served", "any"}))
      ->capture_default_str();
  app.add_option("--objects", o.objects, "SIZE[:WEIGHT[:CONTENT-TYPE]],... as 1k:80,64k:20")
      ->capture_default_str();
  app.add_option("--timeout", texts.timeout_ms, "ms until a transaction has failed")
      ->check(CLI::Range(1000U, 60'000U))
      ->capture_default_str();
  app.add_option("--syn-flood", o.noise.syns_per_second, "SYNs a second beside the load")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--malformed", o.noise.malformed_per_second, "malformed frames a second")
      ->check(CLI::NonNegativeNumber);
}

void add_measurement(CLI::App& app, Options& o) {
  app.add_option("--frame-bytes", o.packets.frame_bytes, "packets: with FCS")
      ->check(CLI::Range(64U, 1518U))
      ->capture_default_str();
  app.add_option("--flows", o.packets.flows, "packets: 5-tuples in turn")
      ->check(CLI::Range(1U, 100'000'000U))
      ->capture_default_str();
  app.add_option("--in-flight", o.packets.in_flight_max, "packets: at most, without --rate")
      ->check(CLI::Range(1U, 65536U))
      ->capture_default_str();
  app.add_option("--initialise", o.phases.initialise, "seconds at most")
      ->check(CLI::Range(0.0, 600.0));
  app.add_option("--ramp-up", o.phases.ramp_up, "seconds")->check(CLI::Range(0.0, 3600.0));
  app.add_option("--sustain", o.phases.sustain, "seconds measured")
      ->check(CLI::Range(0.1, 86400.0));
  app.add_option("--ramp-down", o.phases.ramp_down, "seconds at most")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option(
         "--search", o.search_steps,
         "find the highest lossless rate by so many steps of bisection, after a closed loop; "
         "then run at 80 % of it")
      ->check(CLI::Range(1U, 20U));
  app.add_option("--output", o.output, "file of the JSON report (default: standard output)");
}

bool read_address(const std::string& text, std::uint32_t& to) {
  const auto address = base::IpAddress::parse(text);
  if (!address || !address->is_v4()) return false;
  to = address->v4_number();
  return true;
}

/// The first thing wrong that no single option shows; empty if nothing is.
std::string settle(Options& o, const Texts& texts) {
  const std::size_t colon = texts.server.find(':');
  const int port = colon == std::string::npos ? 80 : std::atoi(texts.server.c_str() + colon + 1);
  if (!read_address(texts.clients, o.plan.network)) {
    return "--client-network " + texts.clients + ": not an IPv4 address";
  }
  if (!read_address(texts.server.substr(0, colon), o.plan.server) || port < 1 || port > 65535) {
    return "--server-address " + texts.server + ": not address:port";
  }
  o.plan.server_port = static_cast<std::uint16_t>(port);
  if (o.ports.client_device.empty() && o.ports.server_device.empty()) {
    return "no port; give --client-port, --server-port or both";
  }
  if (o.held > o.plan.connections) return "--held exceeds --connections";
  if (o.search_steps != 0 && o.rate != 0) return "--search finds the rate; leave --rate out";
  if (o.search_steps != 0 && (o.ports.client_device.empty() || o.ports.server_device.empty())) {
    return "--search needs both ports: loss shows on either side";
  }
  if (o.held != 0 && o.rate == 0 && o.search_steps == 0) return "--held needs --rate";
  if (!o.plan.settle()) {
    return "too few --clients for " + std::to_string(o.plan.connections) +
           " connections: an address has 64512 ports, of which a connection takes every fourth";
  }
  if (o.mode == "http" && o.profiles.empty()) return "no --profile; see perf/profiles";
  if (o.attack_share > 0 && o.attacks.empty()) return "--attack-share needs --attacks";
  if (o.mode == "packets" && (o.ports.client_device.empty() || o.ports.server_device.empty())) {
    return "--mode packets needs both ports: what was sent is compared with what arrived";
  }
  o.expect = texts.expect == "blocked"  ? AttackExpectation::kBlocked
             : texts.expect == "served" ? AttackExpectation::kServed
                                        : AttackExpectation::kAny;
  o.client.timeout = texts.timeout_ms * base::kNanosPerMilli;
  o.client.closed_loop = o.rate == 0;
  o.client.mss = o.server.mss = segment_payload(o.ports.mtu);
  return "";
}

}  // namespace

Parsed parse_command_line(int argc, char** argv) {
  Parsed parsed;
  Options& o = parsed.options;
  Texts texts;
  CLI::App app{
      "Stateful HTTP/1.1 traffic generator over DPDK ports: clients on one port, the server on "
      "the\n"
      "other; phases and metrics of RFC 9411. Prints a JSON report.\n"
      "Exit status: 0 valid run, 1 invalid run, 2 wrong usage, 3 a port or profile is not usable.",
      "sluice-gen"};
  add_ports(app, o);
  add_traffic(app, o, texts);
  add_measurement(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_status = app.exit(error) == 0 ? 0 : 2;
    return parsed;
  }
  if (const std::string wrong = settle(o, texts); !wrong.empty()) {
    std::fprintf(stderr, "sluice-gen: %s\n", wrong.c_str());
    parsed.exit_status = 2;
  }
  for (int i = 0; i < argc; ++i) o.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  return parsed;
}

}  // namespace sluice::gen
