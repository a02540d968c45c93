// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/net/checksum.h"

namespace sluice::gen {

/// A response as the server sends it and the client expects it, byte for byte.
struct ResponseObject {
  std::uint32_t weight = 1;
  std::uint32_t body_bytes = 0;
  std::string content_type;
  std::vector<std::uint8_t> bytes;             ///< head and body
  std::vector<net::ChecksumSum> segment_sums;  ///< of bytes [i * mss, (i + 1) * mss)
};

/// Makes the objects of "SIZE[:WEIGHT[:CONTENT-TYPE]],...": size in bytes, or with the suffix k or
/// M (1024-fold), 1 byte to 16 MB; weights are whole numbers. mss: payload bytes of a full segment.
/// Bodies: text of plain words in HTML or JSON for such types, pseudo-random bytes otherwise.
base::Result<std::vector<ResponseObject>> make_objects(const std::string& specification,
                                                       std::uint32_t mss);

}  // namespace sluice::gen
