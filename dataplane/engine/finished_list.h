// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/engine/connection.h"
#include "dataplane/flow/flow_table.h"

namespace sluice::engine {

/// Connections that both ends have finished, in the order in which they did. They are kept for
/// segments that come late, and are the first to go when the flow table is full: nothing of them is
/// left to inspect. The links lie in the connections. O(1) each.
class FinishedList {
 public:
  using Table = flow::FlowTable<Connection>;

  explicit FinishedList(Table& table) : table_(table) {}

  /// The one that finished first; nullptr: there is none.
  [[nodiscard]] Connection* first() { return first_ == Table::kNone ? nullptr : table_.at(first_); }

  /// Puts a connection at the end, if it is not in the list.
  void add(Connection& connection) {
    if (connection.listed_finished) return;
    const std::uint32_t index = table_.index_of(connection);
    connection.listed_finished = true;
    connection.finished_before = last_;
    connection.finished_after = Table::kNone;
    (last_ == Table::kNone ? first_ : at(last_).finished_after) = index;
    last_ = index;
  }

  /// Takes a connection out, if it is in the list.
  void remove(Connection& connection) {
    if (!connection.listed_finished) return;
    connection.listed_finished = false;
    const std::uint32_t before = connection.finished_before, after = connection.finished_after;
    (before == Table::kNone ? first_ : at(before).finished_after) = after;
    (after == Table::kNone ? last_ : at(after).finished_before) = before;
  }

 private:
  [[nodiscard]] Connection& at(std::uint32_t index) {
    Connection* connection = table_.at(index);
    SLUICE_CHECK(connection != nullptr);
    return *connection;
  }

  Table& table_;
  std::uint32_t first_ = Table::kNone, last_ = Table::kNone;
};

}  // namespace sluice::engine
