// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// The plain functions are marked deprecated in OpenSSL 3.0 in favour of EVP, which allocates.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "dataplane/engine/sha256.h"

#include <openssl/sha.h>

#include <new>

namespace sluice::engine {

void Sha256::begin() {
  static_assert(sizeof(SHA256_CTX) <= kStateBytes && alignof(SHA256_CTX) <= 8);
  SHA256_Init(new (state_) SHA256_CTX);
  open_ = true;
}

void Sha256::update(base::Bytes bytes) {
  if (!open_) begin();
  SHA256_Update(reinterpret_cast<SHA256_CTX*>(state_), bytes.data(), bytes.size());
}

void Sha256::finish(std::uint8_t (&digest)[kDigestBytes]) {
  SHA256_Final(digest, reinterpret_cast<SHA256_CTX*>(state_));
  open_ = false;
}

}  // namespace sluice::engine
