// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/masked_head.h"

#include <algorithm>

#include "dataplane/http/head.h"

namespace sluice::engine {
namespace {

/// Where a name of the list ends that occurs in `text`, in any case; npos: none does.
std::size_t end_of_masked_name(std::string_view text, const EventOptions::Names& mask) {
  for (std::size_t i = 0; i < mask.count; ++i) {
    const std::string_view name = mask.names[i].view();
    for (std::size_t at = 0; at + name.size() <= text.size(); ++at) {
      if (abi::equal_ignoring_case(text.substr(at, name.size()), name)) return at + name.size();
    }
  }
  return std::string_view::npos;
}

/// How much of a line may be shown before what is secret; npos: all of it.
std::size_t shown_before_secret(std::string_view line, const EventOptions::Names& mask) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  const std::size_t end = end_of_masked_name(name, mask);
  if (colon != std::string_view::npos) {
    const bool secret = end != std::string_view::npos || is_secret_name(name);
    return secret ? colon + 1 : std::string_view::npos;
  }
  return is_secret_name(name) && end == std::string_view::npos ? 0 : end;
}

}  // namespace

std::size_t copy_masked_head(std::string_view head, std::size_t from,
                             const EventOptions::Names& mask, std::span<char> out) {
  std::size_t used = 0;
  const auto put = [&](std::string_view text) {
    const std::size_t size = std::min(text.size(), out.size() - used);
    std::copy_n(text.data(), size, out.data() + used);
    used += size;
  };
  bool first = true, secret = false;
  for (std::size_t at = 0; at < head.size() && used < out.size();) {
    const std::size_t end = std::min(head.find_first_of("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    const std::string_view mark = head.substr(end, 1);
    const bool shown = at >= from;
    at = end + 1;
    if (!line.empty()) {
      const bool continues = secret && (line[0] == ' ' || line[0] == '\t');
      // A request line has a blank before any colon, and no field's name has.
      const bool requests = first && line.substr(0, line.find(':')).find(' ') != line.npos;
      const std::size_t until = continues  ? 0
                                : requests ? std::string_view::npos
                                           : shown_before_secret(line, mask);
      secret = until != std::string_view::npos;
      first = false;
      if (shown && secret) {
        put(line.substr(0, until));
        put("***");
      } else if (shown) {
        used += copy_masked(line, out.subspan(used));
      }
    }
    if (shown) put(mark);
  }
  return used;
}

}  // namespace sluice::engine
