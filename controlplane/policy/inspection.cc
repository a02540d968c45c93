// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/policy/reader.h"
#include "dataplane/abi/limits.h"

namespace sluice::policy {
namespace {

constexpr std::uint64_t kMilli = 1'000'000;
constexpr std::uint64_t kHour = 3'600'000 * kMilli;

/// A duration with its unit, kept in milliseconds.
void read_ms(YamlReader& reader, const YAML::Node& node, const std::string& what,
             std::uint32_t& into) {
  if (!node) return;
  std::uint64_t ns = into * kMilli;
  reader.duration_ns(node, what, ns);
  if (ns < kMilli || ns > kHour) {
    reader.complain(node, what + " wants 1ms to 1h");
    return;
  }
  into = static_cast<std::uint32_t>(ns / kMilli);
}

/// A size with its unit from `smallest` to `largest` bytes.
template <typename Number>
void read_bytes(YamlReader& reader, const YAML::Node& node, const std::string& what,
                std::uint64_t smallest, std::uint64_t largest, Number& into) {
  if (!node) return;
  std::uint64_t bytes = smallest;
  const std::size_t complaints = reader.diagnostics().errors.size();
  reader.size_bytes(node, what, bytes);
  if (reader.diagnostics().errors.size() != complaints) return;
  if (bytes < smallest || bytes > largest) {
    reader.complain(node, what + " wants " + std::to_string(smallest) + "B to " +
                              std::to_string(largest) + "B");
    return;
  }
  into = static_cast<Number>(bytes);
}

bool read_switch(const YAML::Node& node, bool& on) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  on = text == "on" || text == "true" || text == "yes";
  return on || text == "off" || text == "false" || text == "no";
}

void read_strict(YamlReader& reader, const YAML::Node& node, std::uint64_t& into) {
  if (!node || node.IsNull()) return;
  std::vector<std::string_view> names;
  names.reserve(std::size(abi::kStrictSwitches));
  for (const abi::StrictInfo& info : abi::kStrictSwitches) names.push_back(info.name);
  if (!reader.check_map(node, "strict", names)) return;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) continue;
    const auto strict = abi::find_strict(entry.first.Scalar());
    if (!strict) continue;
    bool on = false;
    if (!read_switch(entry.second, on)) {
      reader.complain(entry.second, "strict." + entry.first.Scalar() + " wants on or off");
    } else if (on) {
      into |= abi::strict_bit(*strict);
    } else {
      into &= ~abi::strict_bit(*strict);
    }
  }
}

void read_whole(YamlReader& reader, const YAML::Node& node, Policy& whole) {
  read_bytes(reader, node["value_bytes"], "value_bytes", 1024, 1u << 20, whole.value_bytes);
  reader.choice<abi::Midstream>(
      node["midstream"], "midstream",
      {{"reset", abi::Midstream::kReset}, {"pass", abi::Midstream::kPass}}, whole.midstream);
  reader.choice<abi::UnknownFrames>(
      node["unknown_frames"], "unknown_frames",
      {{"pass", abi::UnknownFrames::kPass}, {"drop", abi::UnknownFrames::kDrop}},
      whole.unknown_frames);
  if (const YAML::Node pin = node["pin_max_s"]) {
    std::uint64_t ns = whole.pin_max_s * 1'000 * kMilli;
    reader.duration_ns(pin, "pin_max_s", ns);
    if (ns < 1'000 * kMilli || ns > 24 * kHour) reader.complain(pin, "pin_max_s wants 1s to 1d");
    whole.pin_max_s = static_cast<std::uint32_t>(ns / (1'000 * kMilli));
  }
}

}  // namespace

std::vector<std::string_view> inspection_keys() {
  return {"strict",          "reply_wait_ms",    "linger_ms",     "head_timeout_ms",
          "body_timeout_ms", "idle_timeout_ms",  "body_rate_min", "response_hold_bytes",
          "head_bytes_max",  "header_bytes_max", "headers_max",   "request_line_bytes_max",
          "fragments"};
}

void read_inspection(YamlReader& reader, const YAML::Node& node, Policy* whole, Inspection& into) {
  if (!node) return;
  std::vector<std::string_view> keys = inspection_keys();
  if (whole != nullptr) {
    keys.insert(keys.begin(), {"value_bytes", "midstream", "unknown_frames", "pin_max_s"});
  }
  if (!reader.check_map(node, "inspect", keys)) return;
  if (whole != nullptr) read_whole(reader, node, *whole);
  read_strict(reader, node["strict"], into.strict);
  read_ms(reader, node["reply_wait_ms"], "reply_wait_ms", into.reply_wait_ms);
  read_ms(reader, node["linger_ms"], "linger_ms", into.linger_ms);
  read_ms(reader, node["head_timeout_ms"], "head_timeout_ms", into.head_timeout_ms);
  read_ms(reader, node["body_timeout_ms"], "body_timeout_ms", into.body_timeout_ms);
  read_ms(reader, node["idle_timeout_ms"], "idle_timeout_ms", into.idle_timeout_ms);
  read_bytes(reader, node["body_rate_min"], "body_rate_min", 0, 1u << 30, into.body_rate_min);
  read_bytes(reader, node["response_hold_bytes"], "response_hold_bytes", 0, 8192,
             into.response_hold_bytes);
  read_bytes(reader, node["head_bytes_max"], "head_bytes_max", 256, abi::kHeadBytesMax,
             into.head_bytes_max);
  read_bytes(reader, node["header_bytes_max"], "header_bytes_max", 256, abi::kHeaderBytesMax,
             into.header_bytes_max);
  read_bytes(reader, node["request_line_bytes_max"], "request_line_bytes_max", 64,
             abi::kRequestLineBytesMax, into.request_line_bytes_max);
  std::uint64_t headers = into.headers_max;
  reader.number(node["headers_max"], "headers_max", 1, abi::kHeadersMax, headers);
  into.headers_max = static_cast<std::uint32_t>(headers);
  reader.choice<bool>(node["fragments"], "fragments", {{"reassemble", false}, {"drop", true}},
                      into.drop_fragments);
}

}  // namespace sluice::policy
