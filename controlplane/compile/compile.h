// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/compile/strings.h"
#include "dataplane/abi/image.h"
#include "dataplane/base/result.h"
#include "dataplane/config/diagnostics.h"

namespace sluice::seclang {
struct LinkedRules;
}

namespace sluice::compile {

struct CompileOptions {
  std::string cache_folder;  ///< serialised databases by content; empty: no cache
  bool fold = true;          ///< false: every rule stays, for tests
  bool scan = true;          ///< false: every check is made by itself, for tests
};

struct CompileReport {
  std::size_t rules = 0, folded = 0, checks = 0, patterns = 0, prefiltered = 0, without_scan = 0;
  std::size_t databases = 0, databases_cached = 0, database_bytes = 0;
  std::uint64_t elapsed_ms = 0;
};

/// The rule program in its serialised parts, before they are put into an image.
struct Program;
struct ProgramDeleter {
  void operator()(Program* program) const;
};
using ProgramPtr = std::unique_ptr<Program, ProgramDeleter>;

/// Folds, plans the scans and compiles the databases for this machine's CPU. nullptr if there are
/// errors: all of them are in `diagnostics`. `strings` gets the program's texts and must go into
/// the same image.
ProgramPtr compile(const seclang::LinkedRules& rules, const CompileOptions& options,
                   StringsBuilder& strings, config::Diagnostics& diagnostics,
                   CompileReport& report);

/// Where write_image() puts the policy section: its encoder counts Span32 offsets from the start of
/// the image, so it begins with this number.
inline constexpr std::uint64_t kPolicyOffset =
    (sizeof(abi::ImageHeader) + abi::kSectionAlignment - 1) / abi::kSectionAlignment *
    abi::kSectionAlignment;

/// What goes into an image beside the program.
struct ImageParts {
  std::vector<std::uint8_t> policy;  ///< encoded for kPolicyOffset; empty: no policy section
  const StringsBuilder* strings = nullptr;
  std::uint64_t generation = 0;
};

/// Joins policy and program into an image (abi/image.h), digests included. `program` may be null:
/// an image without rules. Error: it would be larger than abi::kImageBytesMax.
base::Result<std::vector<std::uint8_t>> write_image(const ImageParts& parts,
                                                    const Program* program);

}  // namespace sluice::compile
