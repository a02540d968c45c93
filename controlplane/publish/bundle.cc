// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/bundle.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"

namespace sluice::publish {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kMagic = "SLBNDL01";
constexpr std::size_t kSizesBytes = 16, kKeyIdBytes = 32, kSignatureBytes = 64;
constexpr std::size_t kHeadBytes = 8 + kSizesBytes + kKeyIdBytes + kSignatureBytes;
constexpr std::size_t kFilesMax = 10'000;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Key read_key(const std::string& pem, bool private_key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  // A key with a passphrase is an error, never a prompt.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  EVP_PKEY* key = private_key ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)
                              : PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr);
  if (key != nullptr && EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
    EVP_PKEY_free(key);
    key = nullptr;
  }
  return {key, EVP_PKEY_free};
}

std::string key_id_hex(EVP_PKEY* key) {
  std::array<unsigned char, 32> raw{};
  std::size_t bytes = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, raw.data(), &bytes) != 1) return {};
  return sha256_hex({reinterpret_cast<const char*>(raw.data()), bytes});
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

std::uint64_t load_u64(const char* from) {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::string u64_bytes(std::uint64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// What the signature covers.
std::string signed_bytes(std::string_view bundle) {
  return std::string(bundle.substr(0, 8 + kSizesBytes)) + std::string(bundle.substr(kHeadBytes));
}

/// Stays inside the folder that it is unpacked into.
bool good_path(const std::string& path) {
  if (path.empty() || path.size() > 255 || path[0] == '/') return false;
  if (path.find('\0') != std::string::npos) return false;
  const fs::path parts(path);
  return std::none_of(parts.begin(), parts.end(), [](const fs::path& part) {
    return part.empty() || part == ".." || part == ".";
  });
}

base::Error cut_short() { return base::Error{"the bundle is cut short: fetch it again"}; }

base::Result<BundleInfo> read_manifest(std::string_view text, std::string_view contents) {
  const json manifest = json::parse(text, nullptr, false);
  if (!manifest.is_object()) return base::Error{"the bundle's manifest is damaged"};
  BundleInfo info;
  try {
    info.name = manifest.at("name").get<std::string>();
    info.version = manifest.at("version").get<std::uint64_t>();
    info.time_ns = manifest.value("time_ns", std::uint64_t{0});
    info.policy = manifest.value("policy", "");
    for (const json& file : manifest.at("files")) {
      const auto bytes = file.at("bytes").get<std::uint64_t>();
      if (bytes > contents.size() || info.files.size() >= kFilesMax) return cut_short();
      Source source{file.at("path").get<std::string>(), std::string(contents.substr(0, bytes))};
      contents.remove_prefix(bytes);
      if (!good_path(source.path)) {
        return base::Error{"the bundle's file name " + source.path + " leads outside it"};
      }
      if (sha256_hex(source.text) != file.at("sha256").get<std::string>()) {
        return base::Error{source.path + " in the bundle was altered"};
      }
      info.files.push_back(std::move(source));
    }
  } catch (const json::exception&) {
    return base::Error{"the bundle's manifest is damaged"};
  }
  if (!contents.empty()) return base::Error{"the bundle has bytes that its manifest does not name"};
  if (!is_bundle_name(info.name)) {
    return base::Error{"the bundle's name is not made of " + std::string(kBundleNameWanted)};
  }
  return info;
}

/// The version, or the version with a suffix where that is there already: what is installed stays
/// as it is until the new one is live.
std::string free_folder(const std::string& home, std::uint64_t version) {
  const std::string name = std::to_string(version);
  std::string folder = name;
  for (int i = 1; fs::exists(home + "/" + folder); ++i) folder = name + "-" + std::to_string(i);
  return folder;
}

base::Status unpack(const BundleInfo& info, const std::string& place) {
  const std::string beside = fs::path(place).parent_path().string() + "/.new";
  std::error_code error;
  fs::remove_all(beside, error);
  for (const Source& source : info.files) {
    const std::string path = beside + "/" + source.path;
    if (auto made = make_folders(fs::path(path).parent_path().string()); !made.ok()) return made;
    if (auto wrote = write_file(path, source.text); !wrote.ok()) return wrote;
  }
  fs::rename(beside, place, error);
  if (error) return base::Error{"cannot unpack to " + place + ": " + error.message()};
  return base::ok_status();
}

/// folder empty: to nothing.
base::Status point_current(const std::string& home, const std::string& folder) {
  const std::string current = home + "/current", beside = home + "/.current";
  std::error_code error;
  fs::remove(beside, error);
  if (folder.empty()) {
    fs::remove(current, error);
  } else {
    fs::create_symlink(folder, beside, error);
    if (!error) fs::rename(beside, current, error);
  }
  if (error) return base::Error{"cannot point " + current + ": " + error.message()};
  return base::ok_status();
}

void remove_all_but(const std::string& home, const std::vector<std::string>& kept) {
  std::error_code error;
  std::vector<fs::path> gone;
  for (fs::directory_iterator at(home, error), end; !error && at != end; at.increment(error)) {
    if (std::find(kept.begin(), kept.end(), at->path().filename().string()) == kept.end()) {
      gone.push_back(at->path());
    }
  }
  for (const fs::path& path : gone) fs::remove_all(path, error);
}

}  // namespace

bool is_bundle_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name[0] != '.' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string::npos;
}

bool is_bundle(std::string_view bytes) { return bytes.starts_with(kMagic); }

base::Result<std::string> build_bundle(const BundleInfo& info) {
  if (!is_bundle_name(info.name)) {
    return base::Error{"a bundle's name is made of " + std::string(kBundleNameWanted)};
  }
  std::string contents;
  json files = json::array();
  bool policy_found = info.policy.empty();
  for (const Source& file : info.files) {
    if (!good_path(file.path)) return base::Error{file.path + ": wants a relative path"};
    files.push_back(
        {{"path", file.path}, {"bytes", file.text.size()}, {"sha256", sha256_hex(file.text)}});
    contents += file.text;
    policy_found = policy_found || file.path == info.policy;
  }
  if (!policy_found) return base::Error{"the policy " + info.policy + " is not among the files"};
  const std::string manifest = json{
      {"name", info.name},
      {"version", info.version},
      {"time_ns", info.time_ns},
      {"policy", info.policy},
      {"files", files}}.dump();
  if (kHeadBytes + manifest.size() + contents.size() > kBundleBytesMax) {
    return base::Error{"the bundle would be larger than 64 MiB"};
  }
  return std::string(kMagic) + u64_bytes(manifest.size()) + u64_bytes(contents.size()) +
         std::string(kKeyIdBytes + kSignatureBytes, '\0') + manifest + contents;
}

base::Result<std::string> sign_bundle(std::string_view bundle, const std::string& private_pem) {
  if (auto info = read_bundle(bundle); !info.ok()) return info.error();
  const Key key = read_key(private_pem, true);
  if (!key) {
    return base::Error{
        "not an Ed25519 private key without passphrase: openssl genpkey -algorithm ed25519"};
  }
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const std::string message = signed_bytes(bundle);
  std::array<unsigned char, kSignatureBytes> signature{};
  std::size_t bytes = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &bytes,
                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1) {
    return base::Error{"OpenSSL did not sign"};
  }
  std::string out(bundle);
  out.replace(8 + kSizesBytes, kKeyIdBytes, from_hex(key_id_hex(key.get())));
  out.replace(8 + kSizesBytes + kKeyIdBytes, kSignatureBytes,
              std::string(reinterpret_cast<const char*>(signature.data()), bytes));
  return out;
}

base::Result<BundleInfo> read_bundle(std::string_view bundle) {
  if (!is_bundle(bundle)) return base::Error{"not a bundle"};
  if (bundle.size() < kHeadBytes) return cut_short();
  const std::uint64_t manifest_bytes = load_u64(bundle.data() + 8);
  const std::uint64_t content_bytes = load_u64(bundle.data() + 16);
  if (manifest_bytes > kBundleBytesMax || content_bytes > kBundleBytesMax) {
    return base::Error{"the bundle's sizes are damaged"};
  }
  if (bundle.size() < kHeadBytes + manifest_bytes + content_bytes) return cut_short();
  if (bundle.size() > kHeadBytes + manifest_bytes + content_bytes) {
    return base::Error{"there are bytes behind the bundle's end"};
  }
  auto info = read_manifest(bundle.substr(kHeadBytes, manifest_bytes),
                            bundle.substr(kHeadBytes + manifest_bytes));
  if (!info.ok()) return info;
  const std::string_view key_id = bundle.substr(8 + kSizesBytes, kKeyIdBytes);
  if (key_id.find_first_not_of('\0') != std::string_view::npos) {
    info.value().key_id = to_hex(key_id);
  }
  return info;
}

base::Result<BundleInfo> verify_bundle(std::string_view bundle,
                                       const std::vector<std::string>& public_pems) {
  auto info = read_bundle(bundle);
  if (!info.ok()) return info;
  if (info.value().key_id.empty()) return base::Error{"the bundle is not signed"};
  for (const std::string& pem : public_pems) {
    const Key key = read_key(pem, false);
    if (!key || key_id_hex(key.get()) != info.value().key_id) continue;
    const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const std::string message = signed_bytes(bundle);
    const auto* signature =
        reinterpret_cast<const unsigned char*>(bundle.data()) + 8 + kSizesBytes + kKeyIdBytes;
    if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature, kSignatureBytes,
                         reinterpret_cast<const unsigned char*>(message.data()),
                         message.size()) == 1) {
      return info;
    }
    return base::Error{"the bundle's signature is wrong: it was altered"};
  }
  return base::Error{"the bundle is signed with a key that is not trusted here (" +
                     info.value().key_id.substr(0, 16) + "...)"};
}

std::vector<std::string> trusted_keys(const std::string& folder) {
  std::vector<std::string> keys;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".pem") continue;
    if (auto text = read_file(at->path().string()); text.ok()) {
      keys.push_back(std::move(text).value());
    }
  }
  return keys;
}

BundleStore::BundleStore(std::string state, std::string keys_folder)
    : root_(std::move(state) + "/bundles"), keys_(std::move(keys_folder)) {}

base::Result<BundleStore::Installed> BundleStore::install(
    std::string_view bundle, bool force, const std::function<bool(const Installed&)>& publish) {
  const auto keys = trusted_keys(keys_);
  if (keys.empty()) {
    return base::Error{"no trusted key: put the signer's *.pem into " + keys_ +
                       ", where the user of sluiced can read it"};
  }
  auto info = verify_bundle(bundle, keys);
  if (!info.ok()) return info.error();
  const std::lock_guard lock(mutex_);
  Installed installed;
  installed.home = root_ + "/" + info.value().name;
  std::error_code error;
  const std::string previous = fs::read_symlink(installed.home + "/current", error).string();
  const std::uint64_t before = std::strtoull(previous.c_str(), nullptr, 10);
  if (!force && !previous.empty() && info.value().version <= before) {
    return base::Error{"version " + std::to_string(info.value().version) + " of " +
                       info.value().name + " is not newer than the installed " +
                       std::to_string(before) + ": --force to install it"};
  }
  const std::string folder = free_folder(installed.home, info.value().version);
  const std::string place = installed.home + "/" + folder;
  if (auto unpacked = unpack(info.value(), place); !unpacked.ok()) return unpacked.error();
  if (auto pointed = point_current(installed.home, folder); !pointed.ok()) return pointed.error();
  if (!info.value().policy.empty()) installed.policy = place + "/" + info.value().policy;
  installed.info = std::move(info).value();
  if (publish(installed)) {
    remove_all_but(installed.home, {"current", folder, previous});
    return installed;
  }
  if (auto pointed = point_current(installed.home, previous); !pointed.ok()) return pointed.error();
  remove_all_but(installed.home, {"current", previous});
  return installed;
}

}  // namespace sluice::publish
