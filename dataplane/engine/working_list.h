// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/engine/exchange.h"
#include "dataplane/engine/pool.h"

namespace sluice::engine {

/// Exchanges whose rules have stopped at the end of a slice (ExchangeState::kJudging), in the order
/// in which they did. The links lie in the exchanges, so that there is room for all. O(1) each.
class WorkingList {
 public:
  explicit WorkingList(Pool<Exchange>& exchanges) : exchanges_(exchanges) {}

  [[nodiscard]] bool empty() const { return first_ == Pool<Exchange>::kNone; }

  /// Puts the exchange of flow `flow` at the end, unless it is in the list.
  void add(Exchange& exchange, std::uint32_t flow) {
    Exchange::WorkLink& link = exchange.work;
    if (link.is_listed) return;
    link = {flow, last_, Pool<Exchange>::kNone, true};
    (last_ == Pool<Exchange>::kNone ? first_ : exchanges_.at(last_).work.after) =
        exchange.pool_index;
    last_ = exchange.pool_index;
  }
  /// Takes the first one out; nullptr: there is none.
  [[nodiscard]] Exchange* take() {
    if (empty()) return nullptr;
    Exchange& exchange = exchanges_.at(first_);
    remove(exchange);
    return &exchange;
  }
  /// Takes an exchange out, if it is in the list.
  void remove(Exchange& exchange) {
    Exchange::WorkLink& link = exchange.work;
    if (!link.is_listed) return;
    link.is_listed = false;
    (link.before == Pool<Exchange>::kNone ? first_ : exchanges_.at(link.before).work.after) =
        link.after;
    (link.after == Pool<Exchange>::kNone ? last_ : exchanges_.at(link.after).work.before) =
        link.before;
  }

 private:
  Pool<Exchange>& exchanges_;
  std::uint32_t first_ = Pool<Exchange>::kNone, last_ = Pool<Exchange>::kNone;
};

}  // namespace sluice::engine
