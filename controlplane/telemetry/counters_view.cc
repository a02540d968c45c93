// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/counters_view.h"

#include "controlplane/telemetry/json_writer.h"
#include "dataplane/abi/counters.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/clock.h"

namespace sluice::telemetry {
namespace {

using Worker = publish::DataplaneView::Worker;
constexpr const char* kDirections[2] = {"outside", "inside"};
constexpr const char* kRings[2] = {"verdict", "http"};

void write_ports(JsonWriter& json, const publish::DataplaneView& view,
                 const abi::WorkerCounters& counters) {
  json.key("ports").open('[');
  for (std::uint32_t link = 0; link < view.segment().link_count; ++link) {
    for (std::size_t side = 0; side < 2; ++side) {
      const abi::PortCounters& port = counters.ports[link][side];
      json.open();
      json.field("link", std::string_view(view.segment().links[link].name));
      json.field("side", std::string_view(kDirections[side]));
      json.field("rx_packets", port.rx_packets.get()).field("rx_bytes", port.rx_bytes.get());
      json.field("tx_packets", port.tx_packets.get()).field("tx_bytes", port.tx_bytes.get());
      json.close();
    }
  }
  json.close(']');
}

using ReasonCounts = std::array<abi::Counter, abi::kReasonCount>;

void write_reasons(JsonWriter& json, std::string_view name, const ReasonCounts& counts) {
  json.key(name).open();
  for (std::size_t i = 0; i < abi::kReasonCount; ++i) {
    const std::uint64_t count = counts[i].get();
    if (count != 0) json.field(abi::kReasonTexts[i].name, count);
  }
  json.close();
}

void write_worker(JsonWriter& json, const publish::DataplaneView& view, const Worker& worker,
                  bool cycles) {
  const abi::WorkerCounters& counters = *worker.counters;
  json.field("lcore", worker.status->lcore);
  for (std::size_t i = 0; i < abi::kCounterCount; ++i) {
    json.field(abi::kCounterTexts[i].name, counters.values[i].get());
  }
  json.field("flows", counters.flows.get());
  json.field("flows_embryonic", counters.flows_embryonic.get());
  json.field("held_bytes", counters.held_bytes.get());
  json.field("held_now", counters.held_segments.get());
  json.field("retained_bytes", counters.retained_bytes.get());
  json.field("transactions", counters.transactions.get());
  json.field("generation", counters.generation.get());
  write_reasons(json, "drops", counters.drops);
  write_reasons(json, "noted", counters.noted);
  if (cycles) {
    json.key("cycles").open();
    for (std::size_t i = 0; i < abi::kStageCount; ++i) {
      json.field(abi::kStageNames[i], counters.stage_cycles[i].get());
    }
    json.close();
  }
  json.key("events_dropped").open();
  for (std::size_t ring = 0; ring < 2; ++ring) {
    json.field(kRings[ring], worker.rings[ring]->dropped.load(std::memory_order_relaxed));
  }
  json.close();
  write_ports(json, view, counters);
}

/// The table of limits and the packet buffers, which all workers share.
void write_room(JsonWriter& json, const abi::DataplaneSegment& segment) {
  json.key("limit_table").open();
  json.field("live", segment.limit_entries_live.load(std::memory_order_relaxed));
  json.field("entries", segment.limit_entries.load(std::memory_order_relaxed)).close();
  json.key("buffers").open();
  for (std::size_t i = 0; i < abi::kBufferPools; ++i) {
    json.key(abi::kBufferPoolNames[i]).open();
    json.field("free", segment.buffers_free[i].load(std::memory_order_relaxed));
    json.field("all", segment.buffers[i].load(std::memory_order_relaxed)).close();
  }
  json.close();
}

std::string service_name(const Catalogue& catalogue, std::size_t index) {
  if (index >= abi::kServicesMax) return "none";
  const std::string_view name = catalogue.service(static_cast<std::uint16_t>(index));
  return name.empty() ? "#" + std::to_string(index) : std::string(name);
}

template <typename Visit>
void each_request_count(const publish::DataplaneView& view, Visit visit) {
  for (std::size_t service = 0; service <= abi::kServicesMax; ++service) {
    for (std::size_t action = 0; action < abi::kActionCount; ++action) {
      for (std::size_t reason = 0; reason < abi::kReasonCount; ++reason) {
        std::uint64_t sum = 0;
        for (const Worker& worker : view.workers()) {
          sum += worker.counters->requests[service][action][reason].get();
        }
        if (sum != 0) visit(service, action, reason, sum);
      }
    }
  }
}

std::string_view action_text(std::size_t action) {
  return abi::action_name(static_cast<abi::Action>(action));
}
std::string_view reason_text(std::size_t reason) {
  return abi::reason_name(static_cast<abi::Reason>(reason));
}

// -- Prometheus ---------------------------------------------------------------------------------

/// Text exposition: one HELP and TYPE per family, then its samples.
class Exposition {
 public:
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    text_ += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  template <typename Value>
  void sample(std::initializer_list<std::pair<const char*, std::string>> labels, Value value,
              const char* suffix = "") {
    text_ += name_;
    text_ += suffix;
    char separator = '{';
    for (const auto& [label, content] : labels) {
      text_ += separator;
      text_ += label;
      text_ += "=\"";
      for (const char c : content) {
        if (c == '\n') {
          text_ += "\\n";
          continue;
        }
        if (c == '"' || c == '\\') text_ += '\\';
        text_ += c;
      }
      text_ += '"';
      separator = ',';
    }
    if (separator == ',') text_ += '}';
    text_ += ' ';
    std::string digits;
    JsonWriter(digits).number(value);
    text_ += digits + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

void expose_workers(Exposition& out, const publish::DataplaneView& view) {
  const auto each = [&](auto visit) {
    for (std::size_t i = 0; i < view.workers().size(); ++i) {
      visit(std::to_string(i), *view.workers()[i].counters, view.workers()[i]);
    }
  };
  out.family("sluice_packets_total", "counter", "Frames by worker, port and direction.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    for (std::uint32_t link = 0; link < view.segment().link_count; ++link) {
      for (std::size_t side = 0; side < 2; ++side) {
        const std::string port =
            std::string(view.segment().links[link].name) + "/" + kDirections[side];
        const abi::PortCounters& counts = counters.ports[link][side];
        out.sample({{"worker", worker}, {"port", port}, {"direction", "rx"}},
                   counts.rx_packets.get());
        out.sample({{"worker", worker}, {"port", port}, {"direction", "tx"}},
                   counts.tx_packets.get());
      }
    }
  });
  const auto expose_reasons = [&](const std::string& worker, const ReasonCounts& counts) {
    for (std::size_t i = 0; i < abi::kReasonCount; ++i) {
      const std::uint64_t count = counts[i].get();
      if (count == 0) continue;
      out.sample({{"worker", worker}, {"reason", std::string(reason_text(i))}}, count);
    }
  };
  out.family("sluice_drops_total", "counter", "Frames not forwarded, by reason.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    expose_reasons(worker, counters.drops);
  });
  out.family("sluice_noted_total", "counter", "What was said of frames forwarded all the same.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    expose_reasons(worker, counters.noted);
  });
  out.family("sluice_flows", "gauge", "Connections known.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    out.sample({{"worker", worker}}, counters.flows.get());
  });
  out.family("sluice_worker_stalled", "gauge", "1 while a worker does not poll.");
  const bool stopped = view.health() == publish::DataplaneView::Health::kStopped;
  each([&](const std::string& worker, const abi::WorkerCounters&, const Worker& source) {
    const bool stalled = !stopped && publish::DataplaneView::stalled(source);
    out.sample({{"worker", worker}}, std::uint64_t{stalled});
  });
  out.family("sluice_held_bytes", "gauge", "Bytes waiting for a verdict.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    out.sample({{"worker", worker}}, counters.held_bytes.get());
  });
  out.family("sluice_scans_total", "counter", "Hyperscan scans.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    out.sample({{"worker", worker}},
               counters.values[static_cast<std::size_t>(abi::CounterId::kScans)].get());
  });
  out.family("sluice_stage_cycles_total", "counter", "TSC cycles by stage.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    for (std::size_t i = 0; i < abi::kStageCount; ++i) {
      out.sample({{"worker", worker}, {"stage", std::string(abi::kStageNames[i])}},
                 counters.stage_cycles[i].get());
    }
  });
  out.family("sluice_worker_counter_total", "counter", "Every other counter, by its name.");
  each([&](const std::string& worker, const abi::WorkerCounters& counters, const Worker&) {
    for (std::size_t i = 0; i < abi::kCounterCount; ++i) {
      out.sample({{"worker", worker}, {"counter", std::string(abi::kCounterTexts[i].name)}},
                 counters.values[i].get());
    }
  });
}

void expose_room(Exposition& out, const abi::DataplaneSegment& segment) {
  out.family("sluice_limit_table_entries", "gauge", "Live entries of the table of limits.");
  out.sample({}, segment.limit_entries_live.load(std::memory_order_relaxed));
  out.family("sluice_limit_table_capacity", "gauge", "Entries that the table of limits has.");
  out.sample({}, segment.limit_entries.load(std::memory_order_relaxed));
  out.family("sluice_packet_buffers_free", "gauge", "Packet buffers that hold no frame.");
  for (std::size_t i = 0; i < abi::kBufferPools; ++i) {
    out.sample({{"pool", std::string(abi::kBufferPoolNames[i])}},
               segment.buffers_free[i].load(std::memory_order_relaxed));
  }
  out.family("sluice_packet_buffers", "gauge", "Packet buffers.");
  for (std::size_t i = 0; i < abi::kBufferPools; ++i) {
    out.sample({{"pool", std::string(abi::kBufferPoolNames[i])}},
               segment.buffers[i].load(std::memory_order_relaxed));
  }
}

void expose_verdicts(Exposition& out, const publish::DataplaneView& view,
                     const Catalogue& catalogue) {
  out.family("sluice_requests_total", "counter", "Requests judged.");
  each_request_count(
      view, [&](std::size_t service, std::size_t action, std::size_t reason, std::uint64_t count) {
        out.sample({{"service", service_name(catalogue, service)},
                    {"verdict", std::string(action_text(action))},
                    {"reason", std::string(reason_text(reason))}},
                   count);
      });
  out.family("sluice_rule_hits_total", "counter",
             "Matches of a rule since its generation is live.");
  for (const auto& [id, rule] : catalogue.rules) {
    if (rule.index >= abi::kRuleHitsMax) continue;
    std::uint64_t sum = 0;
    for (const Worker& worker : view.workers()) {
      if (worker.counters->rule_hits_generation.get() != view.live()) continue;
      sum += worker.counters->rule_hits[rule.index].get();
    }
    if (sum != 0) out.sample({{"rule_id", std::to_string(id)}}, sum);
  }
  out.family("sluice_limit_decisions_total", "counter", "Decisions of the limits.");
  static constexpr const char* kDecisions[3] = {"allowed", "limited", "full"};
  for (std::size_t limit = 0; limit < catalogue.limits.size(); ++limit) {
    for (std::size_t decision = 0; decision < 3; ++decision) {
      std::uint64_t sum = 0;
      for (const Worker& worker : view.workers()) {
        sum += worker.counters->limits[limit][decision].get();
      }
      out.sample({{"limit", catalogue.limits[limit]}, {"decision", kDecisions[decision]}}, sum);
    }
  }
}

void expose_latency(Exposition& out, const publish::DataplaneView& view) {
  out.family("sluice_added_latency_seconds", "histogram", "Time that requests were held by us.");
  std::uint64_t cumulative = 0, sum_ns = 0;
  for (std::size_t i = 0; i < abi::kLatencyBuckets; ++i) {
    for (const Worker& worker : view.workers()) {
      cumulative += worker.counters->added_latency[i].get();
    }
    if (i + 1 == abi::kLatencyBuckets) break;  // the last bucket has no upper bound
    const double bound = static_cast<double>(64ULL << i) / 1e9;
    std::string le;
    JsonWriter(le).number(bound);
    out.sample({{"le", le}}, cumulative, "_bucket");
  }
  for (const Worker& worker : view.workers()) {
    sum_ns += worker.counters->added_latency_sum_ns.get();
  }
  out.sample({{"le", "+Inf"}}, cumulative, "_bucket");
  out.sample({}, static_cast<double>(sum_ns) / 1e9, "_sum");
  out.sample({}, cumulative, "_count");
}

void expose_daemon(Exposition& out, const publish::DataplaneView* view,
                   const DaemonCounters& daemon) {
  out.family("sluice_events_dropped_total", "counter", "Records lost, by where.");
  for (std::size_t ring = 0; view != nullptr && ring < 2; ++ring) {
    std::uint64_t sum = 0;
    for (const Worker& worker : view->workers()) {
      sum += worker.rings[ring]->dropped.load(std::memory_order_relaxed);
    }
    out.sample({{"ring", kRings[ring]}}, sum);
  }
  out.sample({{"ring", "disk"}}, daemon.records_lost);
  out.sample({{"ring", "damaged"}}, daemon.records_damaged);
  out.family("sluice_events_written_total", "counter", "Records written to eve.json.");
  out.sample({}, daemon.records_written);
  out.family("sluice_generation", "gauge", "Generation numbers.");
  out.sample({{"state", "live"}}, daemon.generation_live);
  out.sample({{"state", "staged"}}, daemon.generation_staged);
  out.family("sluice_dataplane_up", "gauge", "1 while the dataplane runs.");
  const bool up = view != nullptr && view->health() == publish::DataplaneView::Health::kRunning;
  out.sample({}, std::uint64_t{up ? 1u : 0u});
  out.family("sluice_build_info", "gauge", "Version and commit of sluiced.");
  out.sample({{"version", daemon.version}, {"commit", daemon.commit}}, std::uint64_t{1});
}

}  // namespace

std::string counters_json(const publish::DataplaneView* view, const DaemonCounters& daemon,
                          const Catalogue& catalogue, bool cycles) {
  std::string out;
  JsonWriter json(out);
  json.open();
  if (view != nullptr) {
    // The segment of a dead dataplane stays until the next one starts, and with it its last counts.
    json.key("dataplane").open();
    json.field("state", std::string_view(publish::health_name(view->health())));
    json.field("pid", view->segment().pid).close();
    write_room(json, view->segment());
  }
  json.key("workers").open('[');
  if (view != nullptr) {
    for (const Worker& worker : view->workers()) {
      json.open();
      write_worker(json, *view, worker, cycles);
      json.close();
    }
  }
  json.close(']');
  json.key("requests").open('[');
  if (view != nullptr) {
    each_request_count(*view, [&](std::size_t service, std::size_t action, std::size_t reason,
                                  std::uint64_t count) {
      json.open();
      json.field("service", std::string_view(service_name(catalogue, service)));
      json.field("verdict", action_text(action)).field("reason", reason_text(reason));
      json.field("count", count).close();
    });
  }
  json.close(']');
  if (cycles && view != nullptr) json.field("tsc_hz", view->segment().tsc_hz);
  json.key("daemon").open();
  json.field("records_written", daemon.records_written);
  json.field("records_lost", daemon.records_lost);
  json.field("records_damaged", daemon.records_damaged).close();
  json.close();
  return out;
}

std::string prometheus_text(const publish::DataplaneView* view, const DaemonCounters& daemon,
                            const Catalogue& catalogue) {
  Exposition out;
  expose_daemon(out, view, daemon);
  if (view != nullptr) {
    expose_workers(out, *view);
    expose_room(out, view->segment());
    expose_verdicts(out, *view, catalogue);
    expose_latency(out, *view);
  }
  return out.take();
}

void write_stats(const publish::DataplaneView* view, const DaemonCounters& daemon,
                 std::uint64_t wall_ns, std::string& out) {
  JsonWriter json(out);
  json.open();
  json.field("timestamp", std::string_view(eve_timestamp(wall_ns)));
  json.field("event_type", std::string_view("stats"));
  json.key("stats").open();
  if (view != nullptr) {
    const auto health = view->health();
    json.field("dataplane", std::string_view(publish::health_name(health)));
    const std::uint64_t started = view->segment().start_wall_ns;
    if (health != publish::DataplaneView::Health::kStopped) {
      json.field("uptime", wall_ns > started ? (wall_ns - started) / base::kNanosPerSecond : 0);
    }
    for (std::size_t i = 0; i < abi::kCounterCount; ++i) {
      std::uint64_t sum = 0;
      for (const Worker& worker : view->workers()) sum += worker.counters->values[i].get();
      json.field(abi::kCounterTexts[i].name, sum);
    }
    std::uint64_t flows = 0;
    for (const Worker& worker : view->workers()) flows += worker.counters->flows.get();
    json.field("flows", flows);
    json.key("drops").open();
    for (std::size_t i = 0; i < abi::kReasonCount; ++i) {
      std::uint64_t sum = 0;
      for (const Worker& worker : view->workers()) sum += worker.counters->drops[i].get();
      if (sum != 0) json.field(abi::kReasonTexts[i].name, sum);
    }
    json.close();
    json.key("added_latency").open('[');
    for (std::size_t i = 0; i < abi::kLatencyBuckets; ++i) {
      std::uint64_t sum = 0;
      for (const Worker& worker : view->workers()) sum += worker.counters->added_latency[i].get();
      json.number(sum);
    }
    json.close(']');
  }
  json.field("records_written", daemon.records_written);
  json.field("records_lost", daemon.records_lost).close();
  json.key("sluice").open();
  json.field("generation", daemon.generation_live).close();
  json.close();
  out += '\n';
}

}  // namespace sluice::telemetry
