// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/handlers.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "controlplane/api/event_filter.h"
#include "controlplane/api/follow.h"
#include "controlplane/publish/image_reader.h"
#include "controlplane/telemetry/eve_file.h"
#include "controlplane/telemetry/report.h"
#include "dataplane/abi/counters.h"
#include "dataplane/base/clock.h"

namespace sluice::api {
namespace {

using nlohmann::json;
using publish::DataplaneView;
using publish::PublishReport;

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Response error(int status, const std::string& message, int exit) {
  return {status, dump({{"error", message}, {"exit", exit}})};
}

json diagnostics_json(const std::vector<publish::Diagnostic>& diagnostics) {
  json list = json::array();
  for (const auto& entry : diagnostics) {
    list.push_back({{"file", entry.file},
                    {"line", entry.line},
                    {"column", entry.column},
                    {"message", entry.message}});
  }
  return list;
}

std::string printable(const char* text, std::size_t room) {
  return std::string(text, ::strnlen(text, room));
}

json links_json(const abi::DataplaneSegment& segment) {
  static constexpr std::array<const char*, 2> kSides = {"outside", "inside"};
  json links = json::array();
  for (std::uint32_t i = 0; i < segment.link_count; ++i) {
    const abi::LinkStatus& link = segment.links[i];
    json entry{{"name", printable(link.name, sizeof link.name)}};
    for (std::size_t side = 0; side < 2; ++side) {
      entry[kSides[side]] = {{"device", printable(link.device[side], sizeof link.device[side])},
                             {"up", link.up[side].load() != 0},
                             {"speed_mbps", link.speed_mbps[side].load()}};
    }
    links.push_back(std::move(entry));
  }
  return links;
}

json workers_json(const DataplaneView& view) {
  json workers = json::array();
  const std::uint64_t now = base::monotonic_now();
  for (const auto& worker : view.workers()) {
    const abi::WorkerCounters& counters = *worker.counters;
    const auto value = [&](abi::CounterId id) {
      return counters.values[static_cast<std::size_t>(id)].get();
    };
    std::uint64_t drops = 0;
    for (const abi::Counter& drop : counters.drops) drops += drop.get();
    const std::uint64_t beat = counters.heartbeat_ns.get();
    workers.push_back({{"lcore", worker.status->lcore},
                       {"rx_packets", value(abi::CounterId::kRxPackets)},
                       {"tx_packets", value(abi::CounterId::kTxPackets)},
                       {"requests", value(abi::CounterId::kRequests)},
                       {"drops", drops},
                       {"flows", counters.flows.get()},
                       {"generation", counters.generation.get()},
                       {"stalled", DataplaneView::stalled(worker)},
                       {"idle_ms", now > beat ? (now - beat) / base::kNanosPerMilli : 0}});
  }
  return workers;
}

/// The modes that apply, of all and of each service, as the engine resolves them.
void add_modes(publish::Publisher& publisher, std::uint64_t live, json& answer) {
  const auto image = publisher.image(live);
  const publish::Switches switches = publisher.switches();
  const abi::Mode policy = image.ok() ? publish::image_mode(image.value()) : abi::Mode::kBlock;
  const abi::Mode all = switches.mode.value_or(policy);
  answer["mode"] = abi::mode_name(all);
  answer["mode_switch"] =
      switches.mode ? json(std::string(abi::mode_name(*switches.mode))) : json(nullptr);
  answer["bypass"] = switches.bypass;
  answer["services"] = json::array();
  if (!image.ok()) return;
  const publish::ImageNames names = publish::image_names(image.value());
  for (std::size_t i = 0; i < names.services.size(); ++i) {
    const auto at = switches.services.find(abi::fnv1a64(names.services[i]));
    const bool switched = at != switches.services.end();
    const abi::Mode own = switched ? at->second : names.service_modes[i];
    answer["services"].push_back(
        {{"name", names.services[i]},
         {"mode", abi::mode_name(abi::weakest(all, own))},
         {"mode_switch", switched ? json(std::string(abi::mode_name(own))) : json(nullptr)}});
  }
}

Response status(Services& services) {
  json answer{{"daemon",
               {{"version", services.version},
                {"commit", services.commit},
                {"pid", ::getpid()},
                {"instance", services.instance}}}};
  answer["dataplane"] = {{"state", "stopped"}, {"pid", nullptr}, {"workers", json::array()}};
  answer["links"] = json::array();
  answer["generation"] = {{"live", nullptr}, {"staged", nullptr}};
  services.collector.with_view([&](const DataplaneView* view) {
    if (view == nullptr) return;
    const auto health = view->health();
    answer["dataplane"]["state"] = publish::health_name(health);
    if (health == DataplaneView::Health::kStopped) return;
    const abi::DataplaneSegment& segment = view->segment();
    answer["dataplane"]["pid"] = segment.pid;
    answer["dataplane"]["version"] = printable(segment.version, sizeof segment.version);
    const std::uint64_t now = base::wall_now();  // a clock that was set back is before its start
    answer["dataplane"]["uptime_s"] =
        now > segment.start_wall_ns ? (now - segment.start_wall_ns) / base::kNanosPerSecond : 0;
    answer["dataplane"]["workers"] = workers_json(*view);
    answer["links"] = links_json(segment);
    if (view->live() != 0) answer["generation"]["live"] = view->live();
    if (view->staged() != 0) answer["generation"]["staged"] = view->staged();
  });
  if (const std::string why = services.publisher.out_of_reach(); !why.empty()) {
    answer["dataplane"]["message"] = why;
  }
  const std::uint64_t live = services.publisher.live();
  if (answer["generation"]["live"].is_null() && live != 0) answer["generation"]["stored"] = live;
  add_modes(services.publisher, live, answer);
  const telemetry::Rates rates = services.collector.rates();
  answer["rates"] = {{"requests_per_s", rates.requests_per_s},
                     {"rx_packets_per_s", rates.rx_packets_per_s},
                     {"rx_bits_per_s", rates.rx_bits_per_s},
                     {"drops_per_s", rates.drops_per_s}};
  const auto daemon = services.collector.daemon_counters();
  answer["records"] = {{"written", daemon.records_written}, {"lost", daemon.records_lost}};
  return {200, dump(answer)};
}

Response publish_answer(Services& services, const Request& request, const std::string& action,
                        const PublishReport& report) {
  std::string detail = report.message;
  if (!report.errors.empty()) detail += "; first: " + report.errors[0].message;
  services.collector.audit(action, publish::outcome_name(report.outcome), detail, request.actor,
                           report.generation);
  return {200, push_json(report)};
}

Response install_bundle(Services& services, const Request& request) {
  if (services.bundles == nullptr) return error(501, "bundles are not set up", 1);
  PublishReport report;
  const auto installed = services.bundles->install(
      request.body, request.parameter("force") == "1",
      [&](const publish::BundleStore::Installed& unpacked) {
        report = services.publisher.push(unpacked.policy, request.actor, "bundle", unpacked.home);
        return publish::exit_status(report.outcome) == 0;
      });
  if (!installed.ok()) {
    services.collector.audit("bundle.install", "refused", installed.error().message, request.actor,
                             0);
    return error(422, installed.error().message, 1);
  }
  report.message = installed.value().info.name + " " +
                   std::to_string(installed.value().info.version) +
                   (report.message.empty() ? "" : ": " + report.message);
  return publish_answer(services, request, "bundle.install", report);
}

/// What to say about a service that the live generation does not have; empty: nothing.
std::string unknown_service(publish::Publisher& publisher, const std::string& name) {
  const auto image = publisher.image(publisher.live());
  if (name.empty() || !image.ok()) return {};
  const auto known = publish::image_names(image.value()).services;
  if (std::find(known.begin(), known.end(), name) != known.end()) return {};
  std::string message = "no service " + name + " is live; there are";
  for (const std::string& service : known) message += " " + service;
  return message;
}

/// An answer to a switch; where a dataplane runs that does not hear of it, with what to do.
json with_reach(Services& services, json answer) {
  if (const std::string why = services.publisher.out_of_reach(); !why.empty()) {
    answer["message"] = why + ": it takes the switch at its start";
  }
  return answer;
}

/// What is wrong with the members of a change; empty: nothing. Guessing what was meant would push
/// the usual policy for a mistyped one, or switch everything where one service was named.
std::string wrong_member(const std::string& path, const json& body) {
  using Type = json::value_t;
  struct Member {
    std::string_view path, name;
    Type type;
    std::string_view wants;
    bool needed = false;
  };
  static constexpr Member kMembers[] = {
      {"/v1/push", "policy", Type::string, "a path"},
      {"/v1/stage", "policy", Type::string, "a path"},
      {"/v1/rollback", "generation", Type::number_unsigned, "a number"},
      {"/v1/mode", "mode", Type::string, "off, monitor, block or policy", true},
      {"/v1/mode", "service", Type::string, "the name of a service"},
      {"/v1/bypass", "on", Type::boolean, "true or false", true},
  };
  for (const Member& member : kMembers) {
    if (member.path != path) continue;
    const auto found = body.find(member.name);
    const bool given = found != body.end() && !found->is_null();
    const bool is_empty =
        given && found->is_string() && found->get_ref<const std::string&>().empty();
    if (given ? found->type() != member.type || is_empty : member.needed) {
      return std::string(member.name) + " wants " + std::string(member.wants);
    }
  }
  for (const auto& item : body.items()) {
    const auto is_it = [&](const Member& member) {
      return member.path == path && member.name == item.key();
    };
    if (std::none_of(std::begin(kMembers), std::end(kMembers), is_it)) {
      return "unknown member " + item.key();
    }
  }
  return {};
}

Response change(Services& services, const Request& request, const json& body) {
  publish::Publisher& publisher = services.publisher;
  if (const std::string wrong = wrong_member(request.path, body); !wrong.empty()) {
    return error(400, wrong, 2);
  }
  const auto text = [&](const char* key) {
    return body.contains(key) && body[key].is_string() ? body[key].get<std::string>() : "";
  };
  if (request.path == "/v1/push") {
    return publish_answer(services, request, "push",
                          publisher.push(text("policy"), request.actor, "push"));
  }
  if (request.path == "/v1/stage") {
    return publish_answer(services, request, "stage",
                          publisher.stage(text("policy"), request.actor));
  }
  if (request.path == "/v1/unstage") {
    return publish_answer(services, request, "unstage", publisher.unstage());
  }
  if (request.path == "/v1/promote") {
    return publish_answer(services, request, "promote", publisher.promote(request.actor));
  }
  if (request.path == "/v1/rollback") {
    const auto number = body.value("generation", std::uint64_t{0});
    return publish_answer(services, request, "rollback", publisher.rollback(number, request.actor));
  }
  if (request.path == "/v1/mode") {
    const std::string wanted = text("mode");
    const auto mode = publish::parse_mode(wanted);
    if (!mode && wanted != "policy") return error(400, "mode is off, monitor, block or policy", 2);
    // A switch of a service that is no more can still be taken away.
    if (const std::string wrong = mode ? unknown_service(publisher, text("service")) : "";
        !wrong.empty()) {
      return error(404, wrong, 1);
    }
    const auto done = publisher.set_mode(mode, text("service"));
    services.collector.audit("mode", done.ok() ? "done" : "failed",
                             wanted + (text("service").empty() ? "" : " for " + text("service")),
                             request.actor, publisher.live());
    if (!done.ok()) return error(500, done.error().message, 1);
    return {200, dump(with_reach(services, {{"mode", wanted}, {"service", text("service")}}))};
  }
  if (request.path == "/v1/bypass") {
    const bool on = body.value("on", false);
    const auto done = publisher.set_bypass(on);
    services.collector.audit("bypass", done.ok() ? "done" : "failed", on ? "on" : "off",
                             request.actor, publisher.live());
    if (!done.ok()) return error(500, done.error().message, 1);
    return {200, dump(with_reach(services, {{"bypass", on}}))};
  }
  return error(404, "no such path: " + request.path, 2);
}

Response generations(Services& services) {
  json list = json::array();
  const std::uint64_t live = services.publisher.live();
  const std::uint64_t staged = services.publisher.staged();
  for (const auto& manifest : services.publisher.generations()) {
    json entry = json::parse(publish::manifest_json(manifest));
    entry["live"] = manifest.number == live;
    entry["staged"] = manifest.number == staged;
    list.push_back(std::move(entry));
  }
  json answer{{"live", live == 0 ? json(nullptr) : json(live)},
              {"staged", staged == 0 ? json(nullptr) : json(staged)},
              {"generations", list}};
  json differences = json::parse(services.collector.staged_differences(), nullptr, false);
  if (staged != 0 && differences.is_object()) answer["differences"] = differences;
  return {200, dump(answer)};
}

/// A parameter that is a number. False: it is something else; where there is none, `into` stays.
bool read_number(const Request& request, const char* name, std::uint64_t& into) {
  const std::string text = request.parameter(name);
  if (text.empty()) return true;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, into);
  return read.ec == std::errc() && read.ptr == end;
}

Response no_number(const char* name) {
  return error(400, std::string(name) + " wants a number", 2);
}

Response events(Services& services, const Request& request) {
  EventFilter filter;
  const std::pair<const char*, std::string*> parameters[] = {
      {"type", &filter.type},       {"verdict", &filter.verdict}, {"reason", &filter.reason},
      {"service", &filter.service}, {"rule", &filter.rule},       {"contains", &filter.contains}};
  for (const auto& [name, into] : parameters) *into = request.parameter(name);
  if (const std::string client = request.parameter("client"); !client.empty()) {
    filter.client = base::IpPrefix::parse(client);
    if (!filter.client) return error(400, client + " is no address and no prefix", 2);
  }
  if (const std::string cursor = request.parameter("cursor"); !cursor.empty()) {
    return {200, follow_json(services.eve_path, cursor, filter)};
  }
  telemetry::EventQuery query;
  query.wants = [&](const std::string& line) { return filter.wants(line); };
  if (!read_number(request, "since_ns", query.since_ns)) return no_number("since_ns");
  if (!read_number(request, "limit", query.limit)) return no_number("limit");
  std::string body = "{\"cursor\":\"" + end_cursor(services.eve_path) + "\",\"events\":[";
  bool first = true;
  for (const std::string& line : telemetry::find_events(services.eve_path, query)) {
    if (!first) body += ",\n";
    first = false;
    body += line;
  }
  return {200, body + "]}"};
}

/// They lie in the dataplane's memory: without it there are none, which is not the same as zero.
Response counters(Services& services, const Request& request) {
  bool known = false;
  services.collector.with_view([&](const DataplaneView* view) { known = view != nullptr; });
  if (known) return {200, services.collector.counters(request.parameter("cycles") == "1")};
  const std::string why = services.publisher.out_of_reach();
  return error(503, "no counters: " + (why.empty() ? "no dataplane runs" : why), 1);
}

Response read(Services& services, const Request& request) {
  if (request.path == "/v1/status") return status(services);
  if (request.path == "/v1/generations") return generations(services);
  if (request.path == "/v1/counters") return counters(services, request);
  if (request.path == "/v1/events") return events(services, request);
  if (request.path == "/v1/top") {
    std::uint64_t count = 10;
    if (!read_number(request, "count", count)) return no_number("count");
    return {200, services.collector.top(count)};
  }
  if (request.path == "/v1/report") {
    std::uint64_t since = 0;
    if (!read_number(request, "since_ns", since)) return no_number("since_ns");
    return {200, telemetry::report_json(services.eve_path, since, base::wall_now(),
                                        request.parameter("service"))};
  }
  static constexpr std::string_view kExplain = "/v1/explain/";
  if (request.path.starts_with(kExplain)) {
    const std::string answer = services.collector.explain(request.path.substr(kExplain.size()));
    if (answer.empty()) return error(404, "no record of this event is kept", 1);
    return {200, answer};
  }
  return error(404, "no such path: " + request.path, 2);
}

}  // namespace

std::string push_json(const PublishReport& report) {
  json answer{{"generation", report.generation == 0 ? json(nullptr) : json(report.generation)},
              {"state", publish::outcome_name(report.outcome)},
              {"errors", diagnostics_json(report.errors)},
              {"warnings", diagnostics_json(report.warnings)},
              {"compile_ms", report.compile_ms},
              {"publish_ms", report.publish_ms},
              {"rules", report.rules},
              {"message", report.message},
              {"exit", publish::exit_status(report.outcome)}};
  return dump(answer);
}

Response handle(Services& services, const Request& request) {
  try {
    if (request.method == "GET") return read(services, request);
    if (request.path == "/v1/bundle") return install_bundle(services, request);
    const json body =
        request.body.empty() ? json::object() : json::parse(request.body, nullptr, false);
    if (!body.is_object()) return error(400, "the body is not a JSON object", 2);
    return change(services, request, body);
  } catch (const json::exception& wrong) {
    return error(400, wrong.what(), 2);
  } catch (const std::exception& wrong) {
    return error(500, wrong.what(), 1);
  }
}

Response handle_metrics(Services& services, const Request& request) {
  if (request.path != "/metrics") return {404, "metrics are at /metrics\n", "text/plain"};
  return {200, services.collector.prometheus(), "text/plain; version=0.0.4"};
}

}  // namespace sluice::api
