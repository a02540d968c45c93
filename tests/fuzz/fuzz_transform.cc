// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/transform.h"

/// Every transformation: within its bound, unchanged where its byte classes say so, and equal to a
/// plain reading of the manual where one is short enough to stand here.

namespace {

using namespace sluice;
using abi::TransformId;

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// False: no plain reading here.
bool plainly(TransformId id, std::string& text) {
  const auto keep = [&](auto&& wanted) { std::erase_if(text, [&](char c) { return !wanted(c); }); };
  switch (id) {
    case TransformId::kNone:
      return true;
    case TransformId::kLowercase:
      for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      return true;
    case TransformId::kUppercase:
      for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      return true;
    case TransformId::kRemoveNulls:
      keep([](char c) { return c != 0; });
      return true;
    case TransformId::kReplaceNulls:
      std::replace(text.begin(), text.end(), '\0', ' ');
      return true;
    case TransformId::kLength:
      text = std::to_string(text.size());
      return true;
    case TransformId::kTrimLeft:
      while (!text.empty() && is_blank(text.front())) text.erase(text.begin());
      return true;
    case TransformId::kTrimRight:
      while (!text.empty() && is_blank(text.back())) text.pop_back();
      return true;
    case TransformId::kHexEncode: {
      std::string out;
      for (const char c : text) {
        out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
      }
      text = out;
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

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
  if (plainly(id, plain)) SLUICE_CHECK(plain == after);
  return 0;
}
