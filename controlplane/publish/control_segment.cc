// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/control_segment.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "dataplane/abi/store.h"

namespace sluice::publish {

base::Result<ControlSegment> ControlSegment::attach(const std::string& shm) {
  if (auto made = make_folders(shm); !made.ok()) return made.error();
  const std::string path = shm + "/" + abi::kControlFile;
  auto mapping = Mapping::create(path, abi::kControlBytes, 0660);
  if (!mapping.ok()) return mapping.error();
  ControlSegment control;
  control.path_ = path;
  control.mapping_ = std::move(mapping).value();
  control.segment_ = reinterpret_cast<abi::ControlSegment*>(control.mapping_.data());
  std::uint64_t magic = 0;
  std::uint32_t version = 0;
  control.segment_->magic.compare_exchange_strong(magic, abi::kControlMagic);
  control.segment_->abi_version.compare_exchange_strong(version, abi::kAbiVersion);
  if (magic != 0 && magic != abi::kControlMagic) {
    return base::Error{path + " is not a control segment of Sluice: remove it"};
  }
  if (version != 0 && version != abi::kAbiVersion) {
    return base::Error{path + " is of another version: stop both processes and remove it"};
  }
  return control;
}

void ControlSegment::announce(std::uint64_t generation) {
  segment_->announced.store(generation, std::memory_order_release);
}
void ControlSegment::announce_staged(std::uint64_t generation) {
  segment_->announced_staged.store(generation, std::memory_order_release);
}
std::uint64_t ControlSegment::announced() const {
  return segment_->announced.load(std::memory_order_relaxed);
}
std::uint64_t ControlSegment::announced_staged() const {
  return segment_->announced_staged.load(std::memory_order_relaxed);
}
void ControlSegment::heartbeat(std::uint64_t monotonic_ns, std::uint64_t pid) {
  segment_->daemon_heartbeat_ns.store(monotonic_ns, std::memory_order_relaxed);
  segment_->daemon_pid.store(pid, std::memory_order_relaxed);
}

std::optional<abi::Mode> parse_mode(std::string_view text) {
  for (const abi::Mode mode : {abi::Mode::kOff, abi::Mode::kMonitor, abi::Mode::kBlock}) {
    if (text == abi::mode_name(mode)) return mode;
  }
  return std::nullopt;
}

base::Result<Switches> load_switches(const std::string& state) {
  Switches switches;
  const std::string path = state + "/" + abi::kSwitchesFile;
  auto text = read_file(path);
  if (!text.ok()) return switches;
  std::istringstream lines(text.value());
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string key, value, more;
    words >> key >> value >> more;
    if (key == "mode") {
      switches.mode = parse_mode(value);
    } else if (key == "bypass") {
      switches.bypass = value == "on";
    } else if (key == "service") {
      if (const auto mode = parse_mode(more)) {
        switches.services[std::strtoull(value.c_str(), nullptr, 16)] = *mode;
      }
    } else if (!key.empty()) {
      return base::Error{path + ": unknown line: " + line};
    }
  }
  return switches;
}

base::Status save_switches(const std::string& state, const Switches& switches) {
  std::string text;
  if (switches.mode) text += "mode " + std::string(abi::mode_name(*switches.mode)) + "\n";
  text += std::string("bypass ") + (switches.bypass ? "on" : "off") + "\n";
  for (const auto& [hash, mode] : switches.services) {
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
    text += "service " + std::string(hex) + " " + std::string(abi::mode_name(mode)) + "\n";
  }
  return write_file(state + "/" + abi::kSwitchesFile, text);
}

bool apply_switches(const Switches& switches, abi::ControlSegment& segment) {
  if (switches.services.size() > segment.service_modes.size()) return false;
  const auto relaxed = std::memory_order_relaxed;
  segment.mode.store(switches.mode ? static_cast<std::uint32_t>(*switches.mode) : abi::kModeUnset,
                     relaxed);
  segment.bypass.store(switches.bypass ? 1 : 0, relaxed);
  std::size_t next = 0;
  for (const auto& [hash, mode] : switches.services) {
    segment.service_modes[next].mode.store(static_cast<std::uint32_t>(mode), relaxed);
    segment.service_modes[next++].service_name_hash.store(hash, relaxed);
  }
  for (; next < segment.service_modes.size(); ++next) {
    segment.service_modes[next].service_name_hash.store(0, relaxed);
  }
  segment.switches_version.fetch_add(1, std::memory_order_release);
  return true;
}

}  // namespace sluice::publish
