// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string>
#include <vector>

#include "controlplane/policy/policy.h"
#include "controlplane/seclang/link.h"
#include "dataplane/base/check.h"

/// Text that operators write: by the first byte SecLang or policy.yaml. Every complaint has a
/// place.

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
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  config::Diagnostics diagnostics;
  if ((data[0] & 1) == 0) {
    seclang::SourceSet nothing{std::vector<publish::Source>()};
    (void)seclang::link_text("/rules.conf", text, nothing, diagnostics);
  } else {
    (void)policy::parse_text("/policy.yaml", text, diagnostics);
  }
  check_places(diagnostics);
  return 0;
}
