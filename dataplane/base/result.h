// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <utility>
#include <variant>

#include "dataplane/base/check.h"

namespace sluice::base {

/// What went wrong, for a person: a sentence that says what to do. Start-up and control plane only;
/// hostile traffic gets an abi::Reason instead.
struct Error {
  std::string message;
};

/// A value or an Error. `T` may be `Unit` where there is nothing to return.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    SLUICE_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    SLUICE_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    SLUICE_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  [[nodiscard]] const Error& error() const {
    SLUICE_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

struct Unit {};
using Status = Result<Unit>;
inline Status ok_status() { return Status(Unit{}); }

}  // namespace sluice::base
