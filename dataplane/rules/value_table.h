// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/variables.h"
#include "dataplane/base/bytes.h"
#include "dataplane/rules/memory_pool.h"

namespace sluice::rules {

using abi::VariableId;
using base::Bytes;

inline constexpr std::uint16_t kNoValue = 0xffff;

/// One member of a collection, or a scalar that is set. The bytes lie in the request's head or in
/// the transaction's region.
struct Value {
  const std::uint8_t* data;
  const char* name;
  std::uint32_t bytes;
  std::uint32_t name_bytes;
  std::uint16_t next;  ///< of the same variable, in order of arrival
  VariableId variable;
  std::uint8_t inexact;  ///< the value was cut

  [[nodiscard]] Bytes view() const { return {data, bytes}; }
  [[nodiscard]] std::string_view key() const { return {name, name_bytes}; }
};

/// What a scan looks at: a value or its name.
struct Item {
  std::uint16_t code = kNoValue;  ///< value number * 2 + is_name

  static Item of_value(std::uint16_t value) { return {static_cast<std::uint16_t>(value * 2)}; }
  static Item of_name(std::uint16_t value) { return {static_cast<std::uint16_t>(value * 2 + 1)}; }
  [[nodiscard]] std::uint16_t value() const { return code >> 1; }
  [[nodiscard]] bool is_name() const { return (code & 1) != 0; }
  [[nodiscard]] bool exists() const { return code != kNoValue; }
};

/// All values of one transaction, in lists by variable. The names of a collection are not kept
/// apart: ARGS_NAMES are the names of ARGS.
class ValueTable {
 public:
  void begin() {
    count_ = 0;
    lists_.fill({kNoValue, kNoValue, 0});
  }

  /// Adds a value; kNoValue if there are abi::kValuesMax or the region is full. O(1).
  std::uint16_t add(Region& region, VariableId variable, std::string_view name, Bytes bytes) {
    if (count_ == abi::kValuesMax) return kNoValue;
    if (count_ % kBlock == 0) {
      blocks_[count_ / kBlock] = region.allocate_array<Value>(kBlock);
      if (blocks_[count_ / kBlock] == nullptr) return kNoValue;
    }
    const auto index = static_cast<std::uint16_t>(count_++);
    at(index) = {bytes.data(),
                 name.data(),
                 static_cast<std::uint32_t>(bytes.size()),
                 static_cast<std::uint32_t>(name.size()),
                 kNoValue,
                 variable,
                 0};
    List& list = lists_[static_cast<std::size_t>(variable)];
    if (list.last == kNoValue) {
      list.first = index;
    } else {
      at(list.last).next = index;
    }
    list.last = index;
    ++list.count;
    return index;
  }
  /// Takes over all values of another table; their bytes stay where they are. False: no memory.
  bool copy(const ValueTable& from, Region& region) {
    count_ = from.count_;
    lists_ = from.lists_;
    for (std::size_t block = 0; block * kBlock < count_; ++block) {
      blocks_[block] = region.allocate_array<Value>(kBlock);
      if (blocks_[block] == nullptr) return false;
      std::memcpy(blocks_[block], from.blocks_[block], kBlock * sizeof(Value));
    }
    return true;
  }
  Value& at(std::uint16_t index) { return blocks_[index / kBlock][index % kBlock]; }
  [[nodiscard]] const Value& at(std::uint16_t index) const {
    return blocks_[index / kBlock][index % kBlock];
  }
  [[nodiscard]] std::uint16_t first(VariableId variable) const {
    return lists_[static_cast<std::size_t>(variable)].first;
  }
  [[nodiscard]] std::uint32_t count(VariableId variable) const {
    return lists_[static_cast<std::size_t>(variable)].count;
  }
  void clear(VariableId variable) {
    lists_[static_cast<std::size_t>(variable)] = {kNoValue, kNoValue, 0};
  }
  [[nodiscard]] std::uint32_t size() const { return count_; }

 private:
  static constexpr std::size_t kBlock = 64;
  struct List {
    std::uint16_t first, last;
    std::uint32_t count;
  };
  std::uint32_t count_ = 0;
  std::array<List, abi::kVariableCount> lists_;
  std::array<Value*, abi::kValuesMax / kBlock> blocks_;
};

}  // namespace sluice::rules
