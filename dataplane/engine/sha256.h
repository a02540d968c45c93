// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/base/bytes.h"

namespace sluice::engine {

/// One running SHA-256 (FIPS 180-4) in memory of its own. OpenSSL's EVP interface allocates at each
/// start of a digest, which a worker must not; its plain SHA256 functions do not
/// (docs/adr/0011-sha256.md).
class Sha256 {
 public:
  static constexpr std::size_t kDigestBytes = 32;

  [[nodiscard]] bool open() const { return open_; }
  void begin();
  void discard() { open_ = false; }
  /// O(bytes). Begins where nothing has.
  void update(base::Bytes bytes);
  /// Ends the digest that is open.
  void finish(std::uint8_t (&digest)[kDigestBytes]);

 private:
  static constexpr std::size_t kStateBytes = 112;  ///< of SHA256_CTX
  alignas(8) std::uint8_t state_[kStateBytes];
  bool open_ = false;
};

}  // namespace sluice::engine
