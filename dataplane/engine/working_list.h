// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/engine/exchange.h"
#include "dataplane/engine/pool.h"

namespace sluice::engine {

/// Exchanges in the order in which they were added. The links lie in the exchanges (kLink), so that
/// there is room for all. O(1) each.
template <Exchange::Link Exchange::*kLink>
class ExchangeList {
 public:
  explicit ExchangeList(Pool<Exchange>& exchanges) : exchanges_(exchanges) {}

  [[nodiscard]] bool empty() const { return first_ == Pool<Exchange>::kNone; }

  /// Puts the exchange of flow `flow` at the end, unless it is in the list.
  void add(Exchange& exchange, std::uint32_t flow) {
    Exchange::Link& link = exchange.*kLink;
    if (link.is_listed) return;
    link = {flow, last_, Pool<Exchange>::kNone, true};
    (last_ == Pool<Exchange>::kNone ? first_ : link_of(last_).after) = exchange.pool_index;
    last_ = exchange.pool_index;
  }
  /// The first one; nullptr: there is none.
  [[nodiscard]] Exchange* front() { return empty() ? nullptr : &exchanges_.at(first_); }
  /// Takes the first one out; nullptr: there is none.
  [[nodiscard]] Exchange* take() {
    Exchange* exchange = front();
    if (exchange != nullptr) remove(*exchange);
    return exchange;
  }
  /// Takes an exchange out, if it is in the list.
  void remove(Exchange& exchange) {
    Exchange::Link& link = exchange.*kLink;
    if (!link.is_listed) return;
    link.is_listed = false;
    (link.before == Pool<Exchange>::kNone ? first_ : link_of(link.before).after) = link.after;
    (link.after == Pool<Exchange>::kNone ? last_ : link_of(link.after).before) = link.before;
  }

 private:
  Exchange::Link& link_of(std::uint32_t index) { return exchanges_.at(index).*kLink; }

  Pool<Exchange>& exchanges_;
  std::uint32_t first_ = Pool<Exchange>::kNone, last_ = Pool<Exchange>::kNone;
};

/// Whose rules have stopped at the end of a slice (ExchangeState::kJudging).
using WorkingList = ExchangeList<&Exchange::work>;
/// Whose request is not complete, by when that was first seen of it.
using UnreadList = ExchangeList<&Exchange::unread>;

}  // namespace sluice::engine
