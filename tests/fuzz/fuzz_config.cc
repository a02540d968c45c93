// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "controlplane/compile/compile.h"
#include "controlplane/policy/policy.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/policy_view.h"
#include "dataplane/base/check.h"
#include "dataplane/config/settings.h"

/// YAML that operators write: policy.yaml or sluice.yaml, by the first byte. Nothing throws, every
/// complaint has a place, and what is accepted lies within its bounds and makes a policy section
/// that the dataplane takes.

namespace {

using namespace sluice;

void check_settings(std::string_view text, config::Reader reader) {
  static const int file = ::memfd_create("sluice.yaml", MFD_CLOEXEC);
  SLUICE_CHECK(file >= 0 && ::ftruncate(file, 0) == 0);
  SLUICE_CHECK(::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const auto read = config::load_settings(path, "main", reader);
  if (!read.ok()) {
    SLUICE_CHECK(read.error().message.starts_with(path + ":"));
    return;
  }
  const config::Settings& settings = read.value();
  SLUICE_CHECK(!settings.cores.empty() && settings.cores.size() <= abi::kWorkersMax);
  SLUICE_CHECK(settings.links.size() <= abi::kLinksMax);
  SLUICE_CHECK(reader == config::Reader::kControlPlane || !settings.links.empty());
  SLUICE_CHECK(settings.flows_max >= 1024 && settings.events.sample >= 1);
}

void check_policy(const std::string& text) {
  config::Diagnostics diagnostics;
  const auto parsed = policy::parse_text("/policy.yaml", text, diagnostics);
  for (const auto* list : {&diagnostics.errors, &diagnostics.warnings}) {
    for (const config::Diagnostic& entry : *list) {
      SLUICE_CHECK(entry.line >= 1 && entry.column >= 1 && !entry.message.empty());
    }
  }
  if (!diagnostics.ok()) return;
  compile::StringsBuilder strings;
  compile::ImageParts parts;
  parts.policy = policy::encode_policy(parsed, compile::kPolicyOffset, strings);
  parts.strings = &strings;
  const auto image = compile::write_image(parts, nullptr);
  SLUICE_CHECK(image.ok());
  SLUICE_CHECK(abi::PolicyView(base::Bytes(image.value())).valid());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0:
      check_policy(text);
      break;
    case 1:
      check_settings(text, config::Reader::kDataplane);
      break;
    default:
      check_settings(text, config::Reader::kControlPlane);
  }
  return 0;
}
