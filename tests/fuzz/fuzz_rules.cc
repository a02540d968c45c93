// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string>
#include <vector>

#include "controlplane/seclang/link.h"
#include "dataplane/base/check.h"

/// SecLang as operators write it: every complaint has a place.

namespace {

using namespace sluice;

void check_places(const config::Diagnostics& diagnostics) {
  for (const auto* list : {&diagnostics.errors, &diagnostics.warnings}) {
    for (const config::Diagnostic& entry : *list) {
      SLUICE_CHECK(entry.line >= 1 && entry.column >= 1 && !entry.message.empty());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  config::Diagnostics diagnostics;
  seclang::SourceSet nothing{std::vector<publish::Source>()};
  (void)seclang::link_text("/rules.conf", text, nothing, diagnostics);
  check_places(diagnostics);
  return 0;
}
