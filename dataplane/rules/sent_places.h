// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// The values of one variable that are wanted, by their place among all of it. A reader of the
/// request's text that calls next() for each value that it comes across meets them in order.
class SentPlaces {
 public:
  struct Place {
    SentBytes* sent;
    std::uint32_t number;
    std::string_view value;  ///< or its name
    bool is_name;
  };

  /// O(values * wanted).
  SentPlaces(const TransactionState& state, VariableId variable, std::span<SentBytes> wanted) {
    std::size_t count = 0;
    std::uint32_t number = 0;
    for (std::uint16_t i = state.values.first(variable); i != kNoValue;
         i = state.values.at(i).next, ++number) {
      for (SentBytes& each : wanted) {
        if (each.origin == kNoValue || each.origin >> 1 != i || count == kPlacesMax) continue;
        const Value& value = state.values.at(i);
        const bool is_name = (each.origin & 1) != 0;
        places_[count++] = {&each, number, is_name ? value.key() : base::as_text(value.view()),
                            is_name};
      }
    }
    left_ = {places_, count};
  }
  SentPlaces(const SentPlaces&) = delete;
  SentPlaces& operator=(const SentPlaces&) = delete;

  [[nodiscard]] bool empty() const { return left_.empty(); }
  /// The next value of the variable: visit(place) for it and its name, where they are wanted.
  template <typename Visit>
  void next(Visit&& visit) {
    for (; !left_.empty() && left_.front().number == number_; left_ = left_.subspan(1)) {
      visit(left_.front());
    }
    ++number_;
  }

 private:
  static constexpr std::size_t kPlacesMax = 32;
  Place places_[kPlacesMax];
  std::span<Place> left_;
  std::uint32_t number_ = 0;
};

/// Of members of a JSON document and their names, attributes and text of an XML document, and names
/// in the heads of a multipart body's parts. `state.request_body` must be whole and well-formed.
void find_sent_json(const TransactionState& state, std::span<SentBytes> wanted);
void find_sent_xml(const TransactionState& state, std::span<SentBytes> wanted);
void find_sent_parts(const TransactionState& state, std::span<SentBytes> wanted);

}  // namespace sluice::rules
