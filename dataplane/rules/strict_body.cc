// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/strict_body.h"

#include <algorithm>

#include "dataplane/base/hash.h"
#include "dataplane/http/content_type.h"
#include "dataplane/rules/request_parts.h"

namespace sluice::rules {

void check_repeated_names(TransactionState& state, abi::VariableId list) {
  if (!abi::is_strict(state.info.strict, abi::Strict::kRepeatedArguments)) return;
  const std::size_t count = state.values.count(list);
  auto* hashes = state.region.allocate_array<std::uint64_t>(count);
  if (hashes == nullptr) return state.fail_memory();
  std::size_t used = 0;
  for (std::uint16_t i = state.values.first(list); i != kNoValue && used < count;
       i = state.values.at(i).next) {
    const std::string_view name = state.values.at(i).key();
    hashes[used++] = base::keyed_hash64(state.worker->key, name.data(), name.size());
  }
  std::sort(hashes, hashes + used);
  if (std::adjacent_find(hashes, hashes + used) != hashes + used) {
    note_strict(state, abi::strict_bit(abi::Strict::kRepeatedArguments));
  }
}

void check_body_label(TransactionState& state, Bytes first) {
  if (!abi::is_strict(state.info.strict, abi::Strict::kBodySniff)) return;
  const std::string_view type = http::parse_media_type(request_content_type(state)).type;
  if (!abi::equal_ignoring_case(type, "application/x-www-form-urlencoded") &&
      !abi::equal_ignoring_case(type, "text/plain")) {
    return;
  }
  const std::string_view text = base::as_text(first);
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != text.npos && (text[begin] == '{' || text[begin] == '[')) {
    note_strict(state, abi::strict_bit(abi::Strict::kBodySniff));
  }
}

}  // namespace sluice::rules
