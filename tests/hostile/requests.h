// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

namespace sluice::hostile {

struct Request {
  std::string name, text;
  std::size_t body_bytes = 0;  ///< on the wire
};

/// One request for each way to make an engine work: patterns that match late or again and again,
/// decoders' worst cases, encodings in encodings, floods of small things. The same every time but
/// for `salt` in the values: what an engine remembers of values does not help it with the next
/// ones.
std::vector<Request> make_requests(const std::string& salt);

}  // namespace sluice::hostile
