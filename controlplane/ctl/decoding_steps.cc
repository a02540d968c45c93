// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/decoding_steps.h"

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/rules/transform/transform.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

std::string transformed(abi::TransformId id, const std::string& value) {
  std::vector<std::uint8_t> memory(rules::max_output(id, value.size()) + rules::kTransformSlack);
  base::Arena arena(memory);
  const auto result =
      rules::apply_transform(id, base::as_bytes(std::string_view(value)), nullptr, arena);
  return std::string(base::as_text(result.output));
}

/// The bytes of a field that may have its base64 beside it.
std::string bytes_of(const json& rule, const std::string& name) {
  const std::string encoded = rule.value(name + "_b64", "");
  return encoded.empty() ? rule.value(name, std::string())
                         : transformed(abi::TransformId::kBase64Decode, encoded);
}

}  // namespace

json decoding_steps(const json& rule) {
  json steps = json::array();
  std::string value = bytes_of(rule, "source");
  if (value.empty()) return steps;
  const std::string matched = bytes_of(rule, "value");
  for (const json& name : rule.value("transformations", json::array())) {
    if (value == matched) break;
    const auto id = abi::find_transform(name.get<std::string>());
    if (!id) break;  // of another version
    std::string after = transformed(*id, value);
    if (after == value) continue;
    value.swap(after);
    json step = json::object();
    step["transformation"] = name;
    step["value"] = value;
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace sluice::ctl
