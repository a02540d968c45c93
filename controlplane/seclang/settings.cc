// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <limits>

#include "controlplane/seclang/linker.h"
#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return result;
}

class SettingsParser {
 public:
  SettingsParser(SourceSet& sources, Reporter& reporter, LinkedRules& rules)
      : sources_(sources), reporter_(reporter), rules_(rules), settings_(rules.settings) {}

  void take(const SettingNode& node) {
    node_ = &node;
    switch (node.id) {
      case DirectiveId::kSecRuleEngine:
        return take_engine();
      case DirectiveId::kSecRequestBodyAccess:
        return take_on_off(settings_.request_body_access);
      case DirectiveId::kSecResponseBodyAccess:
        return take_on_off(settings_.response_body_access);
      case DirectiveId::kSecRequestBodyLimit:
        return take_number(settings_.request_body_limit, "a number of bytes");
      case DirectiveId::kSecRequestBodyNoFilesLimit:
        return take_number(settings_.request_body_no_files_limit, "a number of bytes");
      case DirectiveId::kSecResponseBodyLimit:
        return take_number(settings_.response_body_limit, "a number of bytes");
      case DirectiveId::kSecRequestBodyLimitAction:
        return take_limit_action(settings_.request_body_limit_action);
      case DirectiveId::kSecResponseBodyLimitAction:
        return take_limit_action(settings_.response_body_limit_action);
      case DirectiveId::kSecRequestBodyJsonDepthLimit:
        return take_number(settings_.json_depth_limit, "a depth");
      case DirectiveId::kSecArgumentsLimit:
        return take_number(settings_.arguments_limit, "a number of arguments");
      case DirectiveId::kSecPcreMatchLimit:
        return take_number(settings_.pcre_match_limit, "a number of steps");
      case DirectiveId::kSecCollectionTimeout:
        if (value() == "0") return fail(0, "1 or more seconds: 0 would keep nothing");
        return take_number(settings_.collection_timeout_s, "a number of seconds");
      default:
        return take_text();
    }
  }

 private:
  [[nodiscard]] const std::string& value() const { return node_->values[0]; }

  void fail(std::size_t index, const std::string& expected) {
    reporter_.error(node_->places[index], std::string(directive_info(node_->id).name) +
                                              ": expected " + expected + ", got '" +
                                              node_->values[index] + "'");
  }

  void take_engine() {
    const auto mode = parse_engine_mode(value());
    if (!mode) return fail(0, "On, Off or DetectionOnly");
    settings_.engine = *mode;
    settings_.engine_set = true;
  }

  void take_on_off(bool& into) {
    const auto on = parse_on_off(value());
    if (!on) return fail(0, "On or Off");
    into = *on;
  }

  template <typename Number>
  void take_number(Number& into, const char* expected) {
    const auto number = parse_number(value(), std::numeric_limits<Number>::max());
    if (!number) return fail(0, expected);
    into = static_cast<Number>(*number);
  }

  void take_limit_action(LimitAction& into) {
    if (abi::equal_ignoring_case(value(), "Reject")) {
      into = LimitAction::kReject;
    } else if (abi::equal_ignoring_case(value(), "ProcessPartial")) {
      into = LimitAction::kProcessPartial;
    } else {
      fail(0, "Reject or ProcessPartial");
    }
  }

  void take_text() {
    switch (node_->id) {
      case DirectiveId::kSecResponseBodyMimeType:
        return take_mime_types();
      case DirectiveId::kSecResponseBodyMimeTypesClear:
        settings_.response_mime_types.clear();
        mime_types_said_ = true;
        return;
      case DirectiveId::kSecArgumentSeparator:
        if (value().size() != 1) return fail(0, "one character");
        settings_.argument_separator = value()[0];
        return;
      case DirectiveId::kSecCookieFormat:
        if (value() == "1") {
          reporter_.warning(node_->places[0],
                            "SecCookieFormat 1 is read as 0, as in ModSecurity v3");
        } else if (value() != "0") {
          return fail(0, "0 or 1");
        }
        return;
      case DirectiveId::kSecWebAppId:
        settings_.web_app_id = value();
        return;
      case DirectiveId::kSecComponentSignature:
        if (!settings_.component_signature.empty()) settings_.component_signature += ' ';
        settings_.component_signature += value();
        return;
      case DirectiveId::kSecUnicodeMapFile:
        return take_unicode_map();
      case DirectiveId::kSecUnicodeCodePage:
        return take_number(settings_.unicode_code_page, "the number of a code page");
      case DirectiveId::kSecGeoLookupDb:
        settings_.geo_database = SourceSet::resolve(value(), rules_.file_name(node_->places[0]));
        return;
      case DirectiveId::kSecXmlExternalEntity:
        if (parse_on_off(value()) != false) return fail(0, "Off: external entities are never read");
        return;
      case DirectiveId::kSecParseXmlIntoArgs:
        if (parse_on_off(value()) != false) {
          return fail(0, "Off: rules see XML in XML:/*, XML://@* and XML://text()");
        }
        return;
      default:
        return;  // mapped or noted: nothing to store
    }
  }

  /// The first directive replaces the built-in list, further ones add to it.
  void take_mime_types() {
    if (!mime_types_said_) settings_.response_mime_types.clear();
    mime_types_said_ = true;
    for (const std::string& type : node_->values) {
      settings_.response_mime_types.push_back(lower(type));
    }
  }

  void take_unicode_map() {
    const auto data = read_data(value(), node_->places[0], sources_, reporter_, rules_);
    if (!data) return;
    settings_.unicode_map = *data;
    if (node_->values.size() < 2) return;
    const auto page = parse_number(node_->values[1], UINT32_MAX);
    if (!page) return fail(1, "the number of a code page");
    settings_.unicode_code_page = static_cast<std::uint32_t>(*page);
  }

  SourceSet& sources_;
  Reporter& reporter_;
  LinkedRules& rules_;
  Settings& settings_;
  const SettingNode* node_ = nullptr;
  bool mime_types_said_ = false;
};

}  // namespace

void apply_settings(const std::vector<SettingNode>& nodes, SourceSet& sources, Reporter& reporter,
                    LinkedRules& rules) {
  SettingsParser parser(sources, reporter, rules);
  for (const SettingNode& node : nodes) parser.take(node);
}

std::optional<std::uint32_t> read_data(const std::string& path, const Place& place,
                                       SourceSet& sources, Reporter& reporter, LinkedRules& rules) {
  if (path.starts_with("https://") || path.starts_with("http://")) {
    reporter.error(place, "files are read from this machine only, got '" + path + "'");
    return std::nullopt;
  }
  std::string full = SourceSet::resolve(path, rules.file_name(place));
  if (!sources.exists(full) && sources.exists(path)) full = SourceSet::resolve(path, "");
  const auto text = sources.read(full);
  if (!text.ok()) {
    reporter.error(place, "the file '" + path + "': " + text.error().message);
    return std::nullopt;
  }
  const auto known = std::find_if(rules.data.begin(), rules.data.end(),
                                  [&](const DataFile& file) { return file.path == full; });
  if (known != rules.data.end()) {
    return static_cast<std::uint32_t>(known - rules.data.begin());
  }
  rules.data.push_back({full, std::string(text.value())});
  return static_cast<std::uint32_t>(rules.data.size() - 1);
}

}  // namespace sluice::seclang
