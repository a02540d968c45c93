// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/publish/generation_store.h"
#include "dataplane/base/result.h"

/// A bundle carries SecLang and policy sources in one file, signed with Ed25519 (RFC 8032):
///
/// | bytes | what |
/// | --- | --- |
/// | 8 | "SLBNDL01" |
/// | 8, 8 | bytes of the manifest and of the contents, little-endian |
/// | 32 | SHA-256 of the signer's raw public key; zero: unsigned |
/// | 64 | signature over the magic, the two sizes, manifest and contents |
/// | ... | manifest (JSON: name, version, time_ns, policy, files with bytes and sha256), contents |
namespace sluice::publish {

struct BundleInfo {
  std::string name;           ///< is_bundle_name
  std::uint64_t version = 0;  ///< of its name; an older one is refused unless forced
  std::uint64_t time_ns = 0;
  std::string policy;         ///< path of the policy inside; empty: rules only
  std::vector<Source> files;  ///< paths inside, relative and without ".."
  std::string key_id;         ///< hex; empty: unsigned
};

/// Packs an unsigned bundle. Errors name the file that does not fit.
base::Result<std::string> build_bundle(const BundleInfo& info);
/// Signs (again) with a private key in PEM.
base::Result<std::string> sign_bundle(std::string_view bundle, const std::string& private_pem);
/// Checks structure and digests; the signature is not looked at.
base::Result<BundleInfo> read_bundle(std::string_view bundle);
/// read_bundle, and the signature must be by one of `public_pems`.
base::Result<BundleInfo> verify_bundle(std::string_view bundle,
                                       const std::vector<std::string>& public_pems);
bool is_bundle(std::string_view bytes);
bool is_bundle_name(std::string_view name);
inline constexpr std::string_view kBundleNameWanted =
    "a-z, 0-9, '.', '_', '-', up to 64, not '.' first";

constexpr std::size_t kBundleBytesMax = 64u << 20;  ///< larger: refused; so are sources at a push

/// Keys `*.pem` of a folder.
std::vector<std::string> trusted_keys(const std::string& folder);

/// `<state>/bundles/<name>/<folder>/...`, the folder named by the version; `current` points to the
/// installed one, and the one before it is kept.
class BundleStore {
 public:
  BundleStore(std::string state, std::string keys_folder);

  struct Installed {
    BundleInfo info;
    std::string home;    ///< absolute path of all that is installed under its name
    std::string policy;  ///< absolute path of its policy; empty: rules only
  };
  /// Verifies, refuses what is older than the installed one (unless `force`), unpacks beside it and
  /// points `current` to it. When `publish` says no to that, all is as it was before, and the
  /// bundle is returned all the same. One at a time: others wait.
  base::Result<Installed> install(std::string_view bundle, bool force,
                                  const std::function<bool(const Installed&)>& publish);

 private:
  std::string root_, keys_;
  std::mutex mutex_;
};

}  // namespace sluice::publish
