// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::perf {

/// Requests of one kind. No two of a class have a value in common but for the few that every client
/// of a kind sends (Accept, Accept-Encoding).
struct RequestClass {
  std::string name;
  bool honest = true;
  std::vector<std::string> requests;
};

/// Tiny GET; GET with 10 arguments, 12 headers and 6 cookies; POST of 1 kB of JSON; attacks in each
/// of these shapes; POST of 1 kB of XML, and attacks in it. `count` of each, the same for the same
/// seed.
std::vector<RequestClass> make_request_classes(std::uint64_t seed, std::size_t count);

}  // namespace sluice::perf
