// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "controlplane/compile/compile.h"
#include "controlplane/seclang/link.h"
#include "dataplane/base/check.h"
#include "dataplane/rules/ruleset.h"

/// A compiled image with bytes changed: three of place, one of value each. With its digests it is
/// refused; its structure alone is checked without a read outside of it.

namespace {

using namespace sluice;

constexpr const char* kRules = R"(
SecRequestBodyAccess On
SecAction "id:1,phase:1,pass,nolog,setvar:tx.score=0"
SecRule ARGS|REQUEST_HEADERS:User-Agent "@rx (?i)union\s+select" "id:2,phase:2,pass,t:urlDecodeUni,t:lowercase,setvar:tx.score=+5,tag:'a'"
SecRule ARGS "@pm one two three" "id:3,phase:2,deny,chain"
  SecRule MATCHED_VARS "@contains x" "t:none"
SecRule REMOTE_ADDR "@ipMatch 10.0.0.0/8,2001:db8::/32" "id:4,phase:1,pass"
SecRule TX:score "@ge %{tx.limit}" "id:5,phase:2,deny,status:403"
)";

const std::vector<std::uint8_t>& good_image() {
  static const std::vector<std::uint8_t> image = [] {
    config::Diagnostics diagnostics;
    seclang::SourceSet nothing{std::vector<publish::Source>()};
    const auto rules = seclang::link_text("/r.conf", kRules, nothing, diagnostics);
    compile::StringsBuilder strings;
    compile::CompileReport report;
    const auto program = compile::compile(rules, {}, strings, diagnostics, report);
    SLUICE_CHECK(program != nullptr);
    compile::ImageParts parts;
    parts.strings = &strings;
    return compile::write_image(parts, program.get()).value();
  }();
  return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t>& good = good_image();
  auto* memory = static_cast<std::uint8_t*>(std::aligned_alloc(64, (good.size() + 63) & ~63UL));
  std::memcpy(memory, good.data(), good.size());
  bool changed = false;
  for (; size >= 4; data += 4, size -= 4) {
    const std::size_t at =
        (std::size_t{data[0]} << 16 | std::size_t{data[1]} << 8 | data[2]) % good.size();
    changed |= memory[at] != data[3];
    memory[at] = data[3];
  }
  const base::Bytes image(memory, good.size());
  (void)rules::verify_structure(image);
  abi::ImageError error{};
  const bool opened = rules::Ruleset::open(image, 1, error).ok();
  SLUICE_CHECK(opened == !changed || std::memcmp(memory, good.data(), good.size()) == 0);
  std::free(memory);
  return 0;
}
