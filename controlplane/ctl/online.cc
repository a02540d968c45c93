// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/online.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/render.h"
#include "controlplane/publish/bundle.h"
#include "controlplane/publish/file_io.h"

namespace sluice::ctl {

using nlohmann::json;

void print_json(const json& value) {
  std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

int complain(const Context& context, int exit, const std::string& message) {
  if (context.json) print_json({{"error", message}, {"exit", exit}});
  std::fprintf(stderr, "sluicectl: %s\n", message.c_str());
  return exit;
}

namespace {

int read_answer(const Context& context, const Answer& from, json& answer) {
  if (from.exit != kDone) return complain(context, from.exit, from.message);
  answer = json::parse(from.body, nullptr, false);
  if (answer.is_discarded()) return complain(context, kNo, "sluiced sent no JSON");
  if (from.status != 200) {
    return complain(context, answer.value("exit", static_cast<int>(kNo)),
                    answer.value("error", "status " + std::to_string(from.status)));
  }
  return kDone;
}

/// What the daemon has to say beside its answer.
void print_message(const json& answer) {
  const std::string message = answer.value("message", "");
  if (!message.empty()) std::printf("%s\n", message.c_str());
}

/// The answer of push and its relatives.
int show_publication(const Context& context, const json& answer, const char* done) {
  const int exit = answer.value("exit", 1);
  if (context.json) {
    print_json(answer);
    return exit;
  }
  for (const char* kind : {"errors", "warnings"}) {
    for (const json& entry : answer.value(kind, json::array())) {
      std::fprintf(stderr, "%s:%llu:%llu: %s%s\n", entry.value("file", "").c_str(),
                   entry.value("line", 0ull), entry.value("column", 0ull),
                   kind[0] == 'w' ? "warning: " : "", entry.value("message", "").c_str());
    }
  }
  const std::string state = answer.value("state", "");
  const std::string message = answer.value("message", "");
  if (exit == kDone) {
    std::printf("generation %llu %s: %s", answer.value("generation", 0ull), done,
                coloured(state, Colour::kGreen).c_str());
    if (answer.value("rules", 0ull) != 0) {
      std::printf(", %s", counted(answer.value("rules", 0ull), "rule").c_str());
    }
    std::printf(" (compile %llu ms, publish %llu ms)\n", answer.value("compile_ms", 0ull),
                answer.value("publish_ms", 0ull));
    print_message(answer);
  } else {
    std::fprintf(stderr, "sluicectl: %s: %s\n", coloured(state, Colour::kRed).c_str(),
                 message.c_str());
  }
  return exit;
}

json policy_body(const Context& context) {
  json body = json::object();
  if (!context.policy.empty()) body["policy"] = std::filesystem::absolute(context.policy).string();
  return body;
}

std::string text_of(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_unsigned()) return grouped(value.get<std::uint64_t>());
  return value.dump();
}

/// In UTC, as records have it and --since takes it.
std::string utc_time(std::uint64_t wall_ns) {
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

}  // namespace

int ask(const Context& context, const std::string& path,
        const std::map<std::string, std::string>& parameters, json& answer) {
  return read_answer(context, get(context.socket, path, parameters), answer);
}

int tell(const Context& context, const std::string& path, const json& body, json& answer) {
  const std::string text = body.dump(-1, ' ', false, json::error_handler_t::replace);
  return read_answer(context, post(context.socket, path, text), answer);
}

int run_status(const Context& context) {
  json answer;
  if (const int exit = ask(context, "/v1/status", {}, answer); exit != kDone) return exit;
  if (context.json) {
    print_json(answer);
    return kDone;
  }
  const json& dataplane = answer["dataplane"];
  const std::string state = dataplane.value("state", "stopped");
  std::printf("daemon      %s, pid %s, instance %s\n",
              answer["daemon"].value("version", "").c_str(), answer["daemon"]["pid"].dump().c_str(),
              answer["daemon"].value("instance", "").c_str());
  std::printf("dataplane   %s",
              coloured(state, state == "running" ? Colour::kGreen : Colour::kRed).c_str());
  if (!dataplane["pid"].is_null()) {
    std::printf(", pid %s, up %s s", dataplane["pid"].dump().c_str(),
                text_of(dataplane.value("uptime_s", json())).c_str());
  }
  if (dataplane.contains("message")) {
    std::printf(", but %s", dataplane.value("message", "").c_str());
  }
  std::printf("\ngeneration  live %s, staged %s", text_of(answer["generation"]["live"]).c_str(),
              text_of(answer["generation"]["staged"]).c_str());
  if (const json& kept = answer["generation"]; kept.contains("stored")) {
    std::printf(", last live %s", text_of(kept["stored"]).c_str());
  }
  std::printf("\n");
  std::printf("mode        %s%s, bypass %s\n", answer.value("mode", "").c_str(),
              answer["mode_switch"].is_null() ? "" : " (switch)",
              answer.value("bypass", false) ? coloured("on", Colour::kRed).c_str() : "off");
  for (const json& service : answer.value("services", json::array())) {
    const bool switched = !service.value("mode_switch", json()).is_null();
    if (!switched && service.value("mode", "") == answer.value("mode", "")) continue;
    std::printf("            %s for %s%s\n", service.value("mode", "").c_str(),
                service.value("name", "").c_str(), switched ? " (switch)" : "");
  }
  const json rates = answer.value("rates", json::object());
  const auto rate = [&](const char* name) { return rates.value(name, 0.0); };
  std::printf("traffic     %.1f requests/s, %.0f packets/s, %.2f Mbit/s in, %.1f drops/s\n",
              rate("requests_per_s"), rate("rx_packets_per_s"), rate("rx_bits_per_s") / 1e6,
              rate("drops_per_s"));
  std::printf("records     %s written, %s lost\n", text_of(answer["records"]["written"]).c_str(),
              text_of(answer["records"]["lost"]).c_str());
  Table links({"link", "outside", "", "inside", ""});
  for (const json& link : answer["links"]) {
    const auto side = [&](const char* name) {
      return link[name].value("up", false) ? std::string("up") : std::string("down");
    };
    links.row({link.value("name", ""), link["outside"].value("device", ""), side("outside"),
               link["inside"].value("device", ""), side("inside")});
  }
  if (!links.empty()) std::printf("\n%s", links.text().c_str());
  Table workers({"lcore", "rx", "tx", "requests", "drops", "flows", "generation", "idle ms"});
  for (const json& worker : dataplane["workers"]) {
    const bool stalled = worker.value("stalled", false);
    workers.row({text_of(worker["lcore"]) + (stalled ? " stalled" : ""),
                 text_of(worker["rx_packets"]), text_of(worker["tx_packets"]),
                 text_of(worker["requests"]), text_of(worker["drops"]), text_of(worker["flows"]),
                 text_of(worker["generation"]), text_of(worker["idle_ms"])});
  }
  if (!workers.empty()) std::printf("\n%s", workers.text().c_str());
  return kDone;
}

namespace {

/// sluiced gets the bytes: it may not read where the operator has the file.
int install_bundle(const Context& context, const std::string& bundle) {
  const std::string path = std::string("/v1/bundle") + (context.force ? "?force=1" : "");
  json answer;
  const int exit = read_answer(
      context, post(context.socket, path, bundle, 300, "application/octet-stream"), answer);
  return exit != kDone ? exit : show_publication(context, answer, "pushed from the bundle");
}

}  // namespace

int run_bundle_install(const Context& context) {
  const auto bytes = publish::read_file(context.policy);
  if (!bytes.ok()) return complain(context, kNo, bytes.error().message);
  if (!publish::is_bundle(bytes.value())) {
    return complain(context, kNo, context.policy + " is not a bundle");
  }
  return install_bundle(context, bytes.value());
}

int run_push(const Context& context) {
  if (!context.policy.empty()) {
    const auto bytes = publish::read_file(context.policy);
    if (!bytes.ok()) return complain(context, kInvalid, bytes.error().message);
    if (publish::is_bundle(bytes.value())) return install_bundle(context, bytes.value());
  }
  json answer;
  const int exit = tell(context, "/v1/push", policy_body(context), answer);
  return exit != kDone ? exit : show_publication(context, answer, "pushed");
}
int run_stage(const Context& context) {
  json answer;
  const int exit = tell(context, "/v1/stage", policy_body(context), answer);
  return exit != kDone ? exit : show_publication(context, answer, "staged");
}
int run_unstage(const Context& context) {
  json answer;
  const int exit = tell(context, "/v1/unstage", json::object(), answer);
  return exit != kDone ? exit : show_publication(context, answer, "alone again");
}
int run_promote(const Context& context) {
  json answer;
  const int exit = tell(context, "/v1/promote", json::object(), answer);
  return exit != kDone ? exit : show_publication(context, answer, "promoted");
}
int run_rollback(const Context& context) {
  json answer;
  const int exit = tell(context, "/v1/rollback", {{"generation", context.generation}}, answer);
  return exit != kDone ? exit : show_publication(context, answer, "is back");
}

int run_generations(const Context& context) {
  json answer;
  if (const int exit = ask(context, "/v1/generations", {}, answer); exit != kDone) return exit;
  if (context.json) {
    print_json(answer);
    return kDone;
  }
  Table table({"generation", "", "state", "when (UTC)", "rules", "kind", "who"});
  for (const json& entry : answer["generations"]) {
    const std::string role = entry.value("live", false)     ? "live"
                             : entry.value("staged", false) ? "staged"
                                                            : "";
    table.row({text_of(entry["generation"]), role, entry.value("state", ""),
               utc_time(entry.value("time_ns", std::uint64_t{0})), text_of(entry["rules"]),
               entry.value("kind", ""), entry.value("who", "")});
  }
  std::printf("%s", table.text().c_str());
  if (answer.contains("differences")) {
    const json& differences = answer["differences"];
    std::printf("\nstaged %s: %s transactions judged, %s differ (%s stricter, %s weaker)\n",
                text_of(differences["generation"]).c_str(), text_of(differences["judged"]).c_str(),
                text_of(differences["differ"]).c_str(), text_of(differences["stricter"]).c_str(),
                text_of(differences["weaker"]).c_str());
    for (const json& event : differences["requests"]) {
      const json http = event.value("http", json::object());
      const json& ours = event["sluice"];
      const json staged = ours.value("staged", json::object());
      std::printf("  %s  %s  %s %s\n      live %s, staged %s, rules %s\n",
                  ours.value("event_id", "").c_str(), event.value("src_ip", "").c_str(),
                  http.value("http_method", "").c_str(),
                  printable(http.value("url", ""), 80).c_str(), verdict_text(ours).c_str(),
                  verdict_text(staged).c_str(), staged["rules"].dump().c_str());
    }
  }
  return kDone;
}

int run_mode(const Context& context) {
  json answer;
  json body{{"mode", context.mode}};
  if (!context.service.empty()) body["service"] = context.service;
  if (const int exit = tell(context, "/v1/mode", body, answer); exit != kDone) return exit;
  if (context.json) {
    print_json(answer);
  } else {
    std::printf("mode %s%s\n", context.mode.c_str(),
                context.service.empty() ? "" : (" for " + context.service).c_str());
    print_message(answer);
  }
  return kDone;
}

int run_bypass(const Context& context) {
  json answer;
  const bool on = context.mode == "on";
  if (const int exit = tell(context, "/v1/bypass", {{"on", on}}, answer); exit != kDone) {
    return exit;
  }
  if (context.json) {
    print_json(answer);
  } else {
    std::printf("bypass %s\n", on ? coloured("on", Colour::kRed).c_str() : "off");
    print_message(answer);
  }
  return kDone;
}

}  // namespace sluice::ctl
