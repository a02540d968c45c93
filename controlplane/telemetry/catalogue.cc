// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <nlohmann/json.hpp>

#include "controlplane/publish/image_reader.h"
#include "controlplane/telemetry/eve.h"

namespace sluice::telemetry {

Catalogue make_catalogue(std::string_view image, std::string_view rules_json) {
  Catalogue catalogue;
  publish::ImageNames names = publish::image_names(image);
  catalogue.services = std::move(names.services);
  catalogue.limits = std::move(names.limits);
  const auto rules = nlohmann::json::parse(rules_json, nullptr, false);
  if (!rules.is_array()) return catalogue;
  for (const auto& entry : rules) {
    if (!entry.is_object()) continue;
    try {
      Catalogue::Rule rule;
      rule.message = entry.value("msg", "");
      rule.severity = entry.value("severity", "");
      rule.revision = entry.value("rev", "");
      rule.text = entry.value("text", "");
      rule.file = entry.value("file", "");
      rule.line = entry.value("line", 0u);
      rule.index = entry.value("index", 0u);
      for (const auto& tag : entry.value("tags", nlohmann::json::array())) {
        if (tag.is_string()) rule.tags.push_back(tag.get<std::string>());
      }
      for (const auto& name : entry.value("transformations", nlohmann::json::array())) {
        if (name.is_string()) rule.transformations.push_back(name.get<std::string>());
      }
      catalogue.rules.emplace(entry.value("id", 0u), std::move(rule));
    } catch (const nlohmann::json::exception&) {
      continue;  // an entry of another version: its rule shows by number only
    }
  }
  return catalogue;
}

}  // namespace sluice::telemetry
