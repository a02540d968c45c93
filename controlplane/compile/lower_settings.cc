// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/lower.h"
#include "dataplane/rules/transform/unicode_map.h"

namespace sluice::compile {

void lower_settings(const seclang::LinkedRules& source, StringsBuilder& strings,
                    config::Diagnostics& diagnostics, Program& program) {
  const seclang::Settings& from = source.settings;
  abi::RulesetSettings& to = program.settings;
  to.engine = static_cast<abi::EngineMode>(from.engine);
  to.request_body_access = from.request_body_access ? 1 : 0;
  to.response_body_access = from.response_body_access ? 1 : 0;
  to.request_limit_action = static_cast<abi::LimitAction>(from.request_body_limit_action);
  to.response_limit_action = static_cast<abi::LimitAction>(from.response_body_limit_action);
  to.argument_separator = static_cast<std::uint8_t>(from.argument_separator);
  to.request_body_limit = from.request_body_limit;
  to.request_body_no_files_limit = from.request_body_no_files_limit;
  to.response_body_limit = from.response_body_limit;
  to.json_depth_limit = from.json_depth_limit;
  to.arguments_limit = from.arguments_limit;
  to.pcre_match_limit = from.pcre_match_limit;
  to.collection_timeout_s = from.collection_timeout_s;
  to.web_app_id = strings.add(from.web_app_id);
  to.geo_database = strings.add(from.geo_database);
  for (const std::string& type : from.response_mime_types) {
    program.response_mime_types.push_back(strings.add(type));
  }
  if (!from.unicode_map.has_value()) return;
  program.unicode_map.emplace_back();
  const auto status = rules::parse_unicode_map(source.data[*from.unicode_map].text,
                                               from.unicode_code_page, program.unicode_map[0]);
  if (!status.ok()) {
    diagnostics.error(source.data[*from.unicode_map].path, 1, 1, status.error().message);
  }
}

}  // namespace sluice::compile
