// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/transform.h"
#include "tests/fuzz/plain_transform.h"

/// Every transformation: within its bound, unchanged where its byte classes say so, and equal to a
/// plain reading of the manual where one is short enough to stand here.

using namespace sluice;
using abi::TransformId;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto id = static_cast<TransformId>(data[0] % abi::kTransformCount);
  const std::vector<std::uint8_t> copy(data + 1, data + size);
  const base::Bytes input(copy);
  std::vector<std::uint8_t> memory(rules::max_output(id, input.size()) + rules::kTransformSlack +
                                   64);
  base::Arena arena(memory);
  const rules::TransformResult result = rules::apply_transform(id, input, nullptr, arena);
  // What never grows may hand its input on.
  SLUICE_CHECK(result.output.size() <= std::max(rules::max_output(id, input.size()), input.size()));
  const std::string before(input.begin(), input.end());
  const std::string after(result.output.begin(), result.output.end());
  if (!rules::may_change(id, rules::class_bitmap(input))) SLUICE_CHECK(before == after);
  std::string plain = before;
  if (fuzz::transform_plainly(id, plain)) SLUICE_CHECK(plain == after);
  return 0;
}
