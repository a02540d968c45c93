// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "controlplane/ctl/capture_reader.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/judge_request.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"
#include "dataplane/engine/generation.h"
#include "dataplane/net/packet.h"

namespace sluice::ctl {
namespace {

using engine::Side;
using nlohmann::json;

constexpr std::size_t kFlowsMax = 65536, kTransactionsMax = 2048;

/// On which side of the appliance each frame of a capture came in.
class Sides {
 public:
  /// with_policy: what goes to a service comes from outside. Else the receiver of a flow's first
  /// SYN is its server; a flow without one has the end with the lower port as its server.
  Sides(const engine::Generation& generation, bool with_policy)
      : generation_(generation), with_policy_(with_policy) {}

  Side side_of(base::Bytes frame) {
    net::ParsedPacket parsed;
    net::parse(frame, {true, true}, parsed);
    if (!parsed.addresses_known) return Side::kOutside;
    const End source{bytes_of(parsed.source), parsed.source_port};
    const End destination{bytes_of(parsed.destination), parsed.destination_port};
    if (with_policy_) {
      const bool to_service =
          parsed.ports_known
              ? generation_.service_at(parsed.destination, parsed.destination_port) !=
                    engine::kNoService
              : generation_.service_at_address(parsed.destination) != engine::kNoService;
      return to_service ? Side::kOutside : Side::kInside;
    }
    if (!parsed.ports_known) {  // a later fragment: as the last frame between these two
      const auto known = hosts_.find({source.first, destination.first});
      return known == hosts_.end() ? Side::kOutside : known->second;
    }
    const auto key = std::minmax(source, destination);
    const bool opens = parsed.is_tcp() && parsed.has_flag(net::kSyn) && !parsed.has_flag(net::kAck);
    auto [flow, is_new] =
        servers_.try_emplace({key.first, key.second},
                             parsed.source_port < parsed.destination_port ? source : destination);
    if (is_new && opens) flow->second = destination;
    const Side side = flow->second == destination ? Side::kOutside : Side::kInside;
    hosts_[{source.first, destination.first}] = side;
    return side;
  }

 private:
  using Address = std::string;  ///< its 16 bytes
  using End = std::pair<Address, std::uint16_t>;
  static Address bytes_of(const base::IpAddress& address) {
    return {reinterpret_cast<const char*>(address.bytes), sizeof address.bytes};
  }

  const engine::Generation& generation_;
  bool with_policy_;
  std::map<std::pair<End, End>, End> servers_;
  std::map<std::pair<Address, Address>, Side> hosts_;
};

using Totals = ReplayTotals;

std::string client_text(const abi::EventHeader& header) {
  std::string text;
  char address[base::IpAddress::kTextBytesMax];
  const auto client = base::IpAddress::from_v6(header.source);
  text.assign(address, client.format(address));
  return text + ":" + std::to_string(header.source_port);
}

void report(const Context& context, json answer, Totals& totals) {
  ++totals.transactions;
  const bool blocked = answer.value("verdict", "") == "block";
  totals.blocked += blocked ? 1 : 0;
  if (context.json) {
    std::printf("%s\n", answer.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return;
  }
  std::string ids;
  for (const json& rule : answer["rules"]) ids += " " + std::to_string(rule.value("id", 0U));
  const std::string verdict = answer.value("verdict", "");
  std::printf("%-24s %-8s %-22s %s %s%s\n", answer.value("client", "").c_str(),
              coloured(verdict, blocked ? Colour::kRed : Colour::kGreen).c_str(),
              answer.value("reason", "").c_str(), answer.value("method", "").c_str(),
              printable(answer.value("uri", ""), 80).c_str(), ids.c_str());
}

void summarise(const Context& context, const Totals& totals, std::uint64_t skipped) {
  if (context.json) return;
  std::fprintf(stderr, "%s frames, %s transactions, %s blocked\n", grouped(totals.frames).c_str(),
               grouped(totals.transactions).c_str(), grouped(totals.blocked).c_str());
  for (const auto& [reason, count] : totals.drops) {
    std::fprintf(stderr, "dropped, %s: %s\n", std::string(abi::reason_name(reason)).c_str(),
                 grouped(count).c_str());
  }
  if (totals.cut + skipped != 0) {
    std::fprintf(stderr, "cut short in the capture: %s frames; not IP: %s\n",
                 grouped(totals.cut).c_str(), grouped(skipped).c_str());
  }
}

}  // namespace

base::Status replay_capture(CaptureReader& capture, OfflineEngine& engine, bool with_policy,
                            ReplayTotals& totals) {
  Sides sides(engine.generation(), with_policy);
  CapturedFrame frame;
  base::Nanos first = 0;
  for (;;) {
    const auto more = capture.next(frame);
    if (!more.ok()) return more.error();
    if (!more.value()) return base::Unit{};
    if (first == 0) first = frame.time_ns;
    ++totals.frames;
    totals.cut += frame.truncated ? 1 : 0;
    const base::Nanos elapsed = frame.time_ns > first ? frame.time_ns - first : 0;
    engine.set_time(base::kNanosPerSecond + elapsed, frame.time_ns);
    const abi::Reason dropped = engine.push(sides.side_of(frame.bytes), frame.bytes, true);
    if (dropped != abi::Reason::kNone) ++totals.drops[dropped];
  }
}

int run_replay(const Context& context) {
  auto opened = CaptureReader::open(context.files[0]);
  if (!opened.ok()) return complain(context, kUsage, opened.error().message);
  CaptureReader capture = std::move(opened).value();
  publish::BuildResult built;
  if (const int exit = build_offline(context, built); exit != kDone) return exit;
  OfflineEngine::Options options;
  options.flows_max = kFlowsMax;
  options.transactions_max = kTransactionsMax;
  options.with_limits = !context.policy.empty();
  auto made = OfflineEngine::create(built.image, options);
  if (!made.ok()) return complain(context, kInvalid, made.error().message);
  OfflineEngine& engine = *made.value();
  const RuleTexts texts(built.rules_json);
  Totals totals;
  engine.on_transaction([&](const engine::TransactionRecord& record) {
    json answer = to_json(record, texts);
    answer["client"] = client_text(*record.header);
    answer["transaction"] = record.header->transaction;
    report(context, std::move(answer), totals);
  });
  const auto done = replay_capture(capture, engine, !context.policy.empty(), totals);
  engine.close_all();
  summarise(context, totals, capture.skipped());
  if (!done.ok()) return complain(context, kInvalid, done.error().message);
  return totals.blocked == 0 ? kDone : kNo;
}

}  // namespace sluice::ctl
