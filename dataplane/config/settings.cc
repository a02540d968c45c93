// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/config/settings.h"

#include <algorithm>
#include <map>
#include <set>

#include "dataplane/abi/limits.h"
#include "dataplane/config/yaml_reader.h"

namespace sluice::config {
namespace {

void read_workers(YamlReader& reader, const YAML::Node& workers, Settings& settings) {
  if (!reader.check_map(workers, "workers", {"cores", "main_core", "idle"})) return;
  if (const YAML::Node cores = workers["cores"]; cores) {
    if (!cores.IsSequence() || cores.size() == 0) {
      reader.complain(cores, "workers.cores wants a list of cores, as [1, 2]");
    } else if (cores.size() > abi::kWorkersMax) {
      reader.complain(cores, "at most " + std::to_string(abi::kWorkersMax) + " workers");
    } else {
      settings.cores.clear();
      for (const YAML::Node& core : cores) {
        std::uint64_t number = 0;
        reader.number(core, "a core", 0, 1023, number);
        settings.cores.push_back(static_cast<unsigned>(number));
      }
    }
  }
  std::uint64_t main_core = settings.main_core;
  reader.number(workers["main_core"], "workers.main_core", 0, 1023, main_core);
  settings.main_core = static_cast<unsigned>(main_core);
  reader.choice(workers["idle"], "workers.idle",
                {{"spin", Idle::kSpin}, {"pause", Idle::kPause}, {"sleep", Idle::kSleep}},
                settings.idle);
  const std::set<unsigned> distinct(settings.cores.begin(), settings.cores.end());
  if (distinct.size() != settings.cores.size() && settings.idle != Idle::kSleep) {
    reader.complain(workers["cores"],
                    "a core is named twice: two workers that poll need one each, or idle: sleep");
  }
}

void read_memory(YamlReader& reader, const YAML::Node& memory, Settings& settings) {
  if (!reader.check_map(memory, "memory", {"pool_mb", "flows_max", "collections_mb", "huge_pages"}))
    return;
  reader.number(memory["pool_mb"], "memory.pool_mb", 16, 1 << 20, settings.pool_mb);
  reader.number(memory["flows_max"], "memory.flows_max", 1024, 1ULL << 27, settings.flows_max);
  reader.number(memory["collections_mb"], "memory.collections_mb", 1, 32768,
                settings.collections_mb);
  const YAML::Node pages = memory["huge_pages"];
  if (pages && pages.IsScalar() && (pages.Scalar() == "true" || pages.Scalar() == "false")) {
    reader.complain(pages, "memory.huge_pages wants auto, on or off");
    return;
  }
  reader.choice(
      pages, "memory.huge_pages",
      {{"auto", HugePageUse::kAuto}, {"on", HugePageUse::kOn}, {"off", HugePageUse::kOff}},
      settings.huge_pages);
}

/// `inside: { device: "..." }`
void read_device(YamlReader& reader, const YAML::Node& link, const char* side, std::string& into) {
  const YAML::Node end = link[side];
  const std::string name = std::string("links.") + side;
  if (!end) {
    reader.complain(link, name + " is missing: give its device");
    return;
  }
  if (!reader.check_map(end, name, {"device"})) return;
  reader.text(end["device"], name + ".device", into);
  if (into.empty()) reader.complain(end, name + ".device is missing: a PCI address or a DPDK vdev");
}

/// "net_tap0,iface=x" and "0000:3b:00.0,arg": the name before the arguments.
std::string device_name(const std::string& device) { return device.substr(0, device.find(',')); }

/// The kernel's interface behind a vdev ("net_af_packet0,iface=eth1"), or "".
std::string interface_of(const std::string& device) {
  static constexpr const char* kKey = ",iface=";
  const std::size_t at = device.find(kKey);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + std::string(kKey).size();
  return device.substr(begin, device.find(',', begin) - begin);
}

void read_link(YamlReader& reader, const YAML::Node& node, std::size_t index,
               std::set<std::string>& names, std::set<std::string>& devices, Settings& settings) {
  Link link;
  link.name = "link" + std::to_string(index);
  if (!reader.check_map(node, "a link", {"name", "inside", "outside", "mtu", "on_failure"})) return;
  reader.text(node["name"], "links.name", link.name);
  if (link.name.empty() || link.name.size() > 31) {
    reader.complain(node["name"], "a link's name has 1 to 31 bytes");
  }
  if (!names.insert(link.name).second) {
    reader.complain(node["name"] ? node["name"] : node, "two links named " + link.name);
  }
  for (const auto& [side, device] :
       {std::pair{"outside", &link.outside}, std::pair{"inside", &link.inside}}) {
    read_device(reader, node, side, *device);
    if (device->empty()) continue;
    if (!devices.insert(device_name(*device)).second) {
      reader.complain(node[side], "device " + device_name(*device) +
                                      " is named twice: each side needs its own");
    }
    const std::string interface = interface_of(*device);
    if (!interface.empty() && !devices.insert("interface " + interface).second) {
      reader.complain(node[side],
                      "interface " + interface +
                          " is named twice: what came in would leave where it came from");
    }
  }
  std::uint64_t mtu = link.mtu;
  reader.number(node["mtu"], "links.mtu", 576, 9600, mtu);
  link.mtu = static_cast<std::uint32_t>(mtu);
  reader.choice(node["on_failure"], "links.on_failure",
                {{"block", OnFailure::kBlock}, {"bypass", OnFailure::kBypass}}, link.on_failure);
  settings.links.push_back(link);
}

void read_links(YamlReader& reader, const YAML::Node& root, Settings& settings) {
  const YAML::Node links = root["links"];
  if (!links || !links.IsSequence() || links.size() == 0) {
    reader.complain(links ? links : root, "links: wants a list of at least one pair of ports");
    return;
  }
  if (links.size() > abi::kLinksMax) {
    reader.complain(links, "at most " + std::to_string(abi::kLinksMax) + " links");
    return;
  }
  std::set<std::string> names, devices;
  for (std::size_t i = 0; i < links.size(); ++i) {
    read_link(reader, links[i], i, names, devices, settings);
  }
}

/// events.keep and events.rotate: {size, age}, or a size alone.
void read_bounds(YamlReader& reader, const YAML::Node& node, const std::string& what,
                 std::uint64_t& bytes, std::uint64_t& age_ns) {
  if (node && node.IsScalar()) {
    reader.size_bytes(node, what, bytes);
  } else if (reader.check_map(node, what, {"size", "age"})) {
    reader.size_bytes(node["size"], what + ".size", bytes);
    reader.duration_ns(node["age"], what + ".age", age_ns);
  }
}

void read_events(YamlReader& reader, const YAML::Node& events, Events& into) {
  if (!reader.check_map(
          events, "events",
          {"http_records", "request_headers", "body_digest", "mask", "sample", "keep", "rotate"})) {
    return;
  }
  reader.choice(events["http_records"], "events.http_records",
                {{"all", HttpRecords::kAll},
                 {"sampled", HttpRecords::kSampled},
                 {"off", HttpRecords::kNone},
                 {"none", HttpRecords::kNone}},
                into.http_records);
  bool digest = into.body_digest;
  reader.choice(events["body_digest"], "events.body_digest", {{"off", false}, {"sha256", true}},
                digest);
  into.body_digest = digest;
  reader.names(events["request_headers"], "events.request_headers", 32, into.request_headers);
  reader.names(events["mask"], "events.mask", 32, into.mask);
  read_bounds(reader, events["keep"], "events.keep", into.keep_bytes, into.keep_age_ns);
  read_bounds(reader, events["rotate"], "events.rotate", into.rotate_bytes, into.rotate_age_ns);
  if (const YAML::Node sample = events["sample"]; sample && sample.IsScalar()) {
    std::uint64_t number = 0;
    const std::string& text = sample.Scalar();
    if (!text.starts_with("1/") || !parse_number(text.substr(2), number) || number == 0 ||
        number > 1'000'000) {
      reader.complain(sample, "events.sample wants 1/N, N up to 1000000");
    } else {
      into.sample = static_cast<std::uint32_t>(number);
      if (into.sample > 1 && into.http_records == HttpRecords::kAll) {
        into.http_records = HttpRecords::kSampled;
      }
    }
  }
}

/// Every folder of a named instance is one deeper.
void name_instance(const std::string& instance, Paths& paths) {
  if (instance.empty() || instance == "main") return;
  for (std::string* folder : {&paths.shm, &paths.state, &paths.run, &paths.log}) {
    *folder += "/" + instance;
  }
}

void read_paths(YamlReader& reader, const YAML::Node& paths, const std::string& instance,
                Paths& into) {
  if (reader.check_map(paths, "paths", {"shm", "state", "run", "log", "policy"})) {
    reader.text(paths["shm"], "paths.shm", into.shm);
    reader.text(paths["state"], "paths.state", into.state);
    reader.text(paths["run"], "paths.run", into.run);
    reader.text(paths["log"], "paths.log", into.log);
    reader.text(paths["policy"], "paths.policy", into.policy);
  }
  name_instance(instance, into);
}

}  // namespace

Paths default_paths(const std::string& instance) {
  Paths paths;
  name_instance(instance, paths);
  return paths;
}

base::Result<Settings> load_settings(const std::string& file, const std::string& instance,
                                     Reader who) {
  YamlReader reader(file);
  Settings settings;
  const YAML::Node root = reader.load();
  if (reader.diagnostics().ok() &&
      reader.check_map(root, "sluice.yaml",
                       {"workers", "memory", "links", "events", "metrics", "paths"})) {
    read_workers(reader, root["workers"], settings);
    read_memory(reader, root["memory"], settings);
    if (root["links"] || who == Reader::kDataplane) read_links(reader, root, settings);
    read_events(reader, root["events"], settings.events);
    if (const YAML::Node metrics = root["metrics"];
        reader.check_map(metrics, "metrics", {"listen"})) {
      reader.text(metrics["listen"], "metrics.listen", settings.metrics_listen);
    }
    read_paths(reader, root["paths"], instance, settings.paths);
  } else if (reader.diagnostics().ok()) {
    if (who == Reader::kDataplane) reader.complain(root, "no links: an empty configuration");
    settings.paths = default_paths(instance);
  }
  if (!reader.diagnostics().ok()) return base::Error{reader.errors()};
  return settings;
}

}  // namespace sluice::config
