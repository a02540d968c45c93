// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/transforms.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"

namespace sluice::rules {

enum class TransformOutcome : std::uint8_t {
  kUnchanged,  ///< output is the input span itself: nothing was copied, nothing taken
  kChanged,  ///< output differs from the input by at least one byte and lies in the arena, or is a
             ///< part of the input (trim)
  kArenaFull,  ///< output is empty; the caller answers with transaction_memory
};

struct TransformResult {
  base::Bytes output;  ///< lives as long as the input and the arena's content
  TransformOutcome outcome;
};

/// Applies one transformation to one value. `map`: of SecUnicodeMapFile, or nullptr (urlDecodeUni
/// only). Takes at most max_output(id, n) + kTransformSlack bytes from the arena and gives back
/// what it did not use. O(n) for every input; no allocation elsewhere. ModSecurity v3 reference;
/// corners and deviations: docs/seclang.md.
[[nodiscard]] TransformResult apply_transform(abi::TransformId id, base::Bytes input,
                                              const abi::UnicodeMap* map, base::Arena& arena);

/// The longest output for an input of n bytes.
[[nodiscard]] std::size_t max_output(abi::TransformId id, std::size_t n);

/// What comes out of `n` bytes with these classes is no longer than this, by what the classes tell;
/// a transformation that does not change the value gives all of it back.
[[nodiscard]] std::size_t longest_output(abi::TransformId id, std::size_t n, std::uint64_t classes);

/// Bytes behind max_output() that vector stores may scribble on.
inline constexpr std::size_t kTransformSlack = 64;

/// change_classes() of a transformation that changes values whatever they hold, the empty one too.
inline constexpr std::uint64_t kChangesAlways = ~std::uint64_t{0};

/// The byte classes (byte_class.h) one of which a value must hold for the transformation to change
/// it: `change_classes(id) & class_bitmap(value)` zero means apply_transform() would return the
/// value as it is. 0: never changes anything. kChangesAlways: see may_change().
[[nodiscard]] std::uint64_t change_classes(abi::TransformId id);

/// False only if apply_transform() would return a value with this class bitmap unchanged.
[[nodiscard]] inline bool may_change(abi::TransformId id, std::uint64_t present) {
  const std::uint64_t classes = change_classes(id);
  return classes == kChangesAlways || (classes & present) != 0;
}

}  // namespace sluice::rules
