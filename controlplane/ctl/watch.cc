// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"
#include "dataplane/base/clock.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using Parameters = std::map<std::string, std::string>;

void pause(double seconds) {
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

void clear_screen() {
  if (::isatty(STDOUT_FILENO) != 0) std::fputs("\033[H\033[2J", stdout);
}

std::uint64_t number(const json& object, const std::string& key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
}

/// Counters of which a sum over workers says nothing.
bool has_no_sum(const std::string& name) { return name == "generation" || name == "stall_ms"; }

/// Rows by name, one column a worker, and their sum.
void counter_rows(Table& table, const json& workers, const char* group) {
  std::vector<std::string> names;
  for (const json& worker : workers) {
    const json& values = group[0] == '\0' ? worker : worker.value(group, json::object());
    for (const auto& [name, value] : values.items()) {
      if (!value.is_number() || name == "lcore") continue;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    std::vector<std::string> row{group[0] == '\0' ? name : std::string(group) + "." + name};
    std::uint64_t sum = 0;
    for (const json& worker : workers) {
      const json& values = group[0] == '\0' ? worker : worker.value(group, json::object());
      row.push_back(grouped(number(values, name)));
      sum += number(values, name);
    }
    if (sum == 0) continue;
    row.push_back(has_no_sum(name) ? "-" : grouped(sum));
    table.row(std::move(row));
  }
}

void show_counters(const json& answer, bool cycles) {
  const std::string state = answer.value("dataplane", json::object()).value("state", "running");
  if (state != "running") {
    std::printf("%s: these are its last counts\n\n",
                coloured("the dataplane is " + state, Colour::kRed).c_str());
  }
  std::vector<std::string> head{"counter"};
  for (const json& worker : answer["workers"]) {
    head.push_back("lcore " + std::to_string(number(worker, "lcore")));
  }
  head.emplace_back("sum");
  Table table(head);
  counter_rows(table, answer["workers"], "");
  counter_rows(table, answer["workers"], "drops");
  counter_rows(table, answer["workers"], "noted");
  if (cycles) counter_rows(table, answer["workers"], "cycles");
  counter_rows(table, answer["workers"], "events_dropped");
  std::printf("%s", table.text().c_str());
  if (answer.contains("limit_table")) {
    const json& limits = answer["limit_table"];
    std::printf("\nlimit table: %s of %s entries live\n", grouped(number(limits, "live")).c_str(),
                grouped(number(limits, "entries")).c_str());
    for (const auto& [name, pool] : answer["buffers"].items()) {
      std::printf("packet buffers, %s: %s of %s free\n", name.c_str(),
                  grouped(number(pool, "free")).c_str(), grouped(number(pool, "all")).c_str());
    }
  }
  Table requests({"service", "verdict", "reason", "requests"});
  for (const json& entry : answer["requests"]) {
    requests.row({entry.value("service", ""), entry.value("verdict", ""), entry.value("reason", ""),
                  grouped(number(entry, "count"))});
  }
  if (!requests.empty()) std::printf("\n%s", requests.text().c_str());
}

/// One record as a line for people.
void show_event(const json& event) {
  const json ours = event.value("sluice", json::object());
  const std::string type = event.value("event_type", "");
  std::string line = event.value("timestamp", "") + "  " + type;
  line.resize(std::max<std::size_t>(line.size(), 42), ' ');
  if (type == "audit") {
    const json audit = event.value("audit", json::object());
    line += audit.value("action", "") + " " + audit.value("result", "") + " by " +
            ours.value("actor", "");
    if (number(ours, "generation") != 0) {
      line += ", generation " + std::to_string(number(ours, "generation"));
    }
    if (const std::string detail = audit.value("detail", ""); !detail.empty()) {
      line += ": " + printable(detail);
    }
  } else if (type == "stats") {
    const json stats = event.value("stats", json::object());
    line += "requests " + grouped(number(stats, "requests")) + ", packets " +
            grouped(number(stats, "rx_packets"));
  } else {
    const json http = event.value("http", json::object());
    const std::string verdict = ours.value("verdict", "");
    line += coloured(verdict, verdict == "block" ? Colour::kRed : Colour::kGreen) + " " +
            ours.value("reason", "") + "  " + event.value("src_ip", "") + ":" +
            std::to_string(number(event, "src_port"));
    if (type == "drop") {
      line += "  " + counted(number(event.value("drop", json::object()), "packets"), "packet");
    } else {
      line += "  " + http.value("http_method", "") + " " + printable(http.value("url", ""), 80);
    }
    if (number(http, "status") != 0) line += " " + std::to_string(number(http, "status"));
    if (event.contains("alert")) {
      line += "  [" + std::to_string(number(event["alert"], "signature_id")) + "] " +
              printable(event["alert"].value("signature", ""), 80);
    }
    if (const json staged = ours.value("staged", json::object()); staged.value("differs", false)) {
      line += "  staged " + std::to_string(number(staged, "generation")) + ": " +
              verdict_text(staged) + " " + staged.value("rules", json::array()).dump();
    }
    if (const std::string limit = ours.value("limit", ""); !limit.empty()) {
      line += "  limit " + limit;
    }
    line += "  " + ours.value("event_id", "");
  }
  std::printf("%s\n", line.c_str());
}

void show_events(const Context& context, const json& answer) {
  for (const json& event : answer.value("events", json::array())) {
    if (context.json) {
      print_json(event);
    } else {
      show_event(event);
    }
  }
}

void top_table(const json& rows, const char* name) {
  Table table({name, "count", "blocked", "per s", "mean us"});
  for (const json& row : rows) {
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.1f", row.value("rate", 0.0));
    table.row({printable(row.value("key", ""), 60), grouped(number(row, "count")),
               grouped(number(row, "blocked")), rate, grouped(number(row, "mean_us"))});
  }
  if (!table.empty()) std::printf("%s\n", table.text().c_str());
}

/// Rows of each of the five tables, so that none scrolls out of the terminal.
std::size_t rows_that_fit() {
  constexpr std::size_t kTables = 5, kAround = 2;  // a head and an empty line each
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return 10;
  const std::size_t taken = 3 + kTables * kAround;
  return size.ws_row > taken + kTables ? (size.ws_row - taken) / kTables : 1;
}

void show_top(const json& answer) {
  std::printf(
      "%s, %s blocked, %.1f/s   added p50 %llu us, p99 %llu us   "
      "whole p50 %llu us, p99 %llu us\n\n",
      counted(number(answer, "requests"), "request").c_str(),
      grouped(number(answer, "blocked")).c_str(), answer.value("rate", 0.0),
      static_cast<unsigned long long>(number(answer["added_us"], "p50")),
      static_cast<unsigned long long>(number(answer["added_us"], "p99")),
      static_cast<unsigned long long>(number(answer["duration_us"], "p50")),
      static_cast<unsigned long long>(number(answer["duration_us"], "p99")));
  for (const char* table : {"clients", "routes", "services", "rules", "reasons"}) {
    top_table(answer.value(table, json::array()), table);
  }
}

/// Asks and shows, again and again where `live`: then only the first failure ends it, so that who
/// watches a restart of either process sees it end.
template <typename Query, typename Show>
int keep_showing(const Context& context, bool live, const std::string& path, Query query,
                 Show show) {
  for (bool shown = false;; shown = true) {
    json answer;
    const int exit = ask(context, path, query(), answer);
    if (exit != kDone && !shown) return exit;
    if (exit == kDone) show(answer);
    if (!live) return kDone;
    pause(context.interval_s);
  }
}

}  // namespace

int run_counters(const Context& context) {
  const auto query = [&] { return Parameters{{"cycles", context.cycles ? "1" : "0"}}; };
  return keep_showing(context, context.watch, "/v1/counters", query, [&](const json& answer) {
    if (context.json) return print_json(answer);
    if (context.watch) clear_screen();
    show_counters(answer, context.cycles);
  });
}

int run_events(const Context& context) {
  constexpr std::size_t kSinceMax = 100'000;  // of --since without --limit
  std::map<std::string, std::string> filters;
  const std::pair<const char*, const std::string&> options[] = {
      {"type", context.type},       {"verdict", context.verdict}, {"reason", context.reason},
      {"service", context.service}, {"client", context.client},   {"rule", context.rule}};
  for (const auto& [name, text] : options) {
    if (!text.empty()) filters[name] = text;
  }
  auto query = filters;
  std::size_t limit = context.follow ? 10 : 100;
  if (!context.since.empty()) {
    std::uint64_t since_ns = 0;
    if (!parse_since(context.since, base::wall_now(), since_ns)) {
      return complain(context, kUsage, "--since wants 15min, 24h, 7d or 2026-01-31T12:00");
    }
    query["since_ns"] = std::to_string(since_ns);
    limit = kSinceMax;
  }
  if (context.limit != 0) limit = context.limit;
  query["limit"] = std::to_string(limit);
  json answer;
  if (const int exit = ask(context, "/v1/events", query, answer); exit != kDone) return exit;
  show_events(context, answer);
  if (context.limit == 0 && answer["events"].size() == kSinceMax) {
    std::fprintf(stderr, "sluicectl: only the newest %zu: --limit says how many\n", kSinceMax);
  }
  while (context.follow) {
    pause(0.2);
    auto next = filters;
    next["cursor"] = answer.value("cursor", "0:0");
    // The daemon may restart while we follow: keep the place and try again.
    json more;
    const Answer raw = get(context.socket, "/v1/events", next);
    if (raw.exit != kDone) continue;
    more = json::parse(raw.body, nullptr, false);
    if (!more.is_object()) continue;
    answer = std::move(more);
    show_events(context, answer);
  }
  return kDone;
}

int run_top(const Context& context) {
  const bool live = !context.once && !context.json && ::isatty(STDOUT_FILENO) != 0;
  const auto query = [&] {
    const std::size_t rows = live ? std::min(context.count, rows_that_fit()) : context.count;
    return Parameters{{"count", std::to_string(rows)}};
  };
  return keep_showing(context, live, "/v1/top", query, [&](const json& answer) {
    if (context.json) return print_json(answer);
    if (live) clear_screen();
    show_top(answer);
  });
}

}  // namespace sluice::ctl
