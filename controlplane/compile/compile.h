// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::seclang {
struct LinkedRules;
}

namespace sluice::compile {

/// A complaint about a rule, at its place in the sources.
struct Problem {
  std::string file;
  std::uint32_t line = 0, column = 0;
  std::string message;
};

struct CompileOptions {
  std::string cache_folder;  ///< serialised databases by content; empty: no cache
  bool fold = true;          ///< false: every rule stays, for tests
  bool scan = true;          ///< false: every check is made by itself, for tests
};

struct CompileReport {
  std::vector<Problem> errors, warnings;
  std::size_t rules = 0, folded = 0, patterns = 0, prefiltered = 0, without_scan = 0;
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
/// errors: all of them are in the report.
ProgramPtr compile(const seclang::LinkedRules& rules, const CompileOptions& options,
                   CompileReport& report);

/// What goes into an image beside the program.
struct ImageParts {
  /// Encoded policy: a PolicyHeader and its arrays, whose Span32 offsets count from the start of
  /// this buffer and StringRefs from the start of `policy_strings`; moved while writing.
  std::vector<std::uint8_t> policy;
  std::string policy_strings;
  std::uint64_t generation = 0;
};

/// Joins policy and program into an image (abi/image.h), digests included. `program` may be null:
/// an image without rules.
base::Result<std::vector<std::uint8_t>> write_image(const ImageParts& parts,
                                                    const Program* program);

}  // namespace sluice::compile
