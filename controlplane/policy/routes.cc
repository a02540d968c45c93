// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string_view>

#include "controlplane/policy/reader.h"

namespace sluice::policy {
namespace {

/// The first segment of a pattern, which loses it. Patterns are read as limit::route_matches()
/// does.
std::string_view take_segment(std::string_view& pattern) {
  if (pattern.starts_with('/')) pattern.remove_prefix(1);
  const std::string_view segment = pattern.substr(0, pattern.find('/'));
  pattern.remove_prefix(segment.size());
  return segment;
}

/// `*` inside a segment, or `**` before the end, would be taken literally.
bool has_misplaced_wildcard(std::string_view pattern) {
  while (!pattern.empty()) {
    const std::string_view segment = take_segment(pattern);
    const bool whole = segment == "*" || (segment == "**" && pattern.empty());
    if (!whole && segment.find('*') != std::string_view::npos) return true;
  }
  return false;
}

/// Whether the earlier route leaves nothing to the later one: the first that fits names a request.
bool covers(const Route& earlier, const Route& later) {
  if (!earlier.method.empty() && earlier.method != later.method) return false;
  return pattern_covers(earlier.path, later.path);
}

void read_route(YamlReader& reader, const YAML::Node& item, Route& route) {
  reader.check_map(item, "a route", {"name", "method", "path"});
  reader.text(item["method"], "method", route.method);
  reader.text(item["path"], "path", route.path);
  const YAML::Node place = item["path"] ? item["path"] : item;
  if (!route.path.starts_with('/')) {
    reader.complain(place,
                    "a route wants a path that starts with / (* is one segment, a final ** any "
                    "rest)");
  } else if (has_misplaced_wildcard(route.path)) {
    reader.complain(place,
                    "no request has this path: * stands for a whole segment, and ** only at "
                    "the end");
  }
  route.name = route.path;
  if (item["name"]) read_name(reader, item, "a route", route.name);
}

}  // namespace

bool pattern_covers(std::string_view earlier, std::string_view later) {
  // Without a wildcard a pattern fits every path below it.
  const bool earlier_is_prefix = earlier.find('*') == std::string_view::npos;
  const bool later_is_prefix = later.find('*') == std::string_view::npos;
  for (;;) {
    const std::string_view wanted = take_segment(earlier);
    if (wanted == "**") return true;
    const std::string_view segment = take_segment(later);
    if (wanted.empty()) return earlier_is_prefix || (segment.empty() && !later_is_prefix);
    if (segment.empty() || segment == "**") return false;
    if (wanted != "*" && wanted != segment) return false;
  }
}

void read_routes(YamlReader& reader, const YAML::Node& node, std::vector<Route>& into) {
  if (!node || node.IsNull()) return;
  if (!node.IsSequence() || node.size() > kRoutesPerServiceMax) {
    return reader.complain(
        node, "routes wants a list of at most " + std::to_string(kRoutesPerServiceMax));
  }
  std::vector<YAML::Mark> places;
  for (const YAML::Node& item : node) {
    if (!item.IsMap()) {
      reader.complain(item, "a route wants a map of name, method, path");
      continue;
    }
    Route route;
    read_route(reader, item, route);
    for (std::size_t i = 0; i < into.size(); ++i) {
      if (!covers(into[i], route)) continue;
      reader.complain(item, "no request reaches this route: " + into[i].name + " (line " +
                                std::to_string(places[i].line + 1) +
                                ") fits all of its requests first (put it before that one, or "
                                "remove it)");
      break;
    }
    places.push_back(item.Mark());
    into.push_back(std::move(route));
  }
}

}  // namespace sluice::policy
