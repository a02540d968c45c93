// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/engine/connection.h"
#include "dataplane/flow/flow_table.h"

namespace sluice::engine {

/// Connections that ended in one way, in the order in which they did. They are kept for segments
/// that come late, and are the first to go when the flow table is full. The links lie in the
/// connections, so that one is in one list at most. O(1) each.
class EndedList {
 public:
  using Table = flow::FlowTable<Connection>;

  EndedList(Table& table, Ended kind) : table_(table), kind_(kind) {}

  /// The one that ended first; nullptr: there is none.
  [[nodiscard]] Connection* first() { return first_ == Table::kNone ? nullptr : table_.at(first_); }

  /// Puts a connection that is in no list at the end.
  void add(Connection& connection) {
    if (connection.ended != Ended::kNo) return;
    const std::uint32_t index = table_.index_of(connection);
    connection.ended = kind_;
    connection.ended_before = last_;
    connection.ended_after = Table::kNone;
    (last_ == Table::kNone ? first_ : at(last_).ended_after) = index;
    last_ = index;
  }

  /// Takes a connection out, if it is in this list.
  void remove(Connection& connection) {
    if (connection.ended != kind_) return;
    connection.ended = Ended::kNo;
    const std::uint32_t before = connection.ended_before, after = connection.ended_after;
    (before == Table::kNone ? first_ : at(before).ended_after) = after;
    (after == Table::kNone ? last_ : at(after).ended_before) = before;
  }

 private:
  [[nodiscard]] Connection& at(std::uint32_t index) {
    Connection* connection = table_.at(index);
    SLUICE_CHECK(connection != nullptr);
    return *connection;
  }

  Table& table_;
  Ended kind_;
  std::uint32_t first_ = Table::kNone, last_ = Table::kNone;
};

}  // namespace sluice::engine
