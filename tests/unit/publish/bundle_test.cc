// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/bundle.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "controlplane/publish/file_io.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::publish {
namespace {

struct Pair {
  std::string private_pem, public_pem;
};

Pair make_key() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  Pair pair;
  for (const bool secret : {true, false}) {
    BIO* bio = BIO_new(BIO_s_mem());
    if (secret) {
      PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    } else {
      PEM_write_bio_PUBKEY(bio, key);
    }
    char* text = nullptr;
    const long bytes = BIO_get_mem_data(bio, &text);
    (secret ? pair.private_pem : pair.public_pem).assign(text, static_cast<std::size_t>(bytes));
    BIO_free(bio);
  }
  EVP_PKEY_free(key);
  return pair;
}

std::string make_signed(const Pair& key, std::uint64_t version,
                        const std::string& rules = "SecRule ARGS x\n") {
  BundleInfo info;
  info.name = "api-signatures";
  info.version = version;
  info.policy = "policy.yaml";
  info.files = {{"policy.yaml", "mode: block\n"}, {"rules/sql.conf", rules}};
  return sign_bundle(build_bundle(info).value(), key.private_pem).value();
}

TEST(Bundle, RoundTripKeepsFilesAndNamesItsKey) {
  const Pair key = make_key();
  const auto info = verify_bundle(make_signed(key, 3), {key.public_pem});
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info.value().version, 3u);
  ASSERT_EQ(info.value().files.size(), 2u);
  EXPECT_EQ(info.value().files[1].path, "rules/sql.conf");
  EXPECT_EQ(info.value().files[1].text, "SecRule ARGS x\n");
  EXPECT_EQ(info.value().key_id.size(), 64u);
}

TEST(Bundle, UnsignedIsRefused) {
  const Pair key = make_key();
  BundleInfo info;
  info.name = "x";
  const auto verified = verify_bundle(build_bundle(info).value(), {key.public_pem});
  ASSERT_FALSE(verified.ok());
  EXPECT_NE(verified.error().message.find("not signed"), std::string::npos);
}

TEST(Bundle, AnotherKeyIsRefused) {
  const auto verified = verify_bundle(make_signed(make_key(), 1), {make_key().public_pem});
  ASSERT_FALSE(verified.ok());
  EXPECT_NE(verified.error().message.find("not trusted"), std::string::npos);
}

TEST(Bundle, EveryAlteredByteAndEveryCutIsRefused) {
  const Pair key = make_key();
  const std::string good = make_signed(key, 1);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(verify_bundle(bad, {key.public_pem}).ok()) << i;
    EXPECT_FALSE(verify_bundle(good.substr(0, i), {key.public_pem}).ok()) << i;
  }
  EXPECT_FALSE(verify_bundle(good + "x", {key.public_pem}).ok());
}

TEST(Bundle, PathsThatLeadOutsideAreRefused) {
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "", "a/./b"}) {
    BundleInfo info;
    info.name = "x";
    info.files = {{path, ""}};
    EXPECT_FALSE(build_bundle(info).ok()) << path;
  }
}

/// A store that trusts `key`, and the file that it is given.
struct Store {
  explicit Store(const Pair& key) {
    std::filesystem::create_directories(folder.path() + "/keys");
    std::ofstream(folder.path() + "/keys/us.pem") << key.public_pem;
  }
  bool install(const std::string& bundle, bool force, bool publishes = true) {
    bool asked = false;
    const auto done = store.install(bundle, force, [&](const BundleStore::Installed& installed) {
      asked = true;
      policy = read_file(installed.policy).value();
      return publishes;
    });
    EXPECT_EQ(done.ok(), asked);
    return done.ok();
  }
  std::string rules() { return read_file(home + "/current/rules/sql.conf").value(); }
  /// What is under the bundle's name.
  std::set<std::string> entries() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(home)) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  test::TempFolder folder;
  std::string home = folder.path() + "/state/bundles/api-signatures", policy;
  BundleStore store{folder.path() + "/state", folder.path() + "/keys"};
};

TEST(BundleStore, InstallsUnpacksAndRefusesWhatIsNotNewerUnlessForced) {
  const Pair key = make_key();
  Store store(key);
  EXPECT_FALSE(store.install(make_signed(make_key(), 5), false));
  EXPECT_TRUE(store.install(make_signed(key, 5), false));
  EXPECT_EQ(store.policy, "mode: block\n");
  EXPECT_EQ(store.rules(), "SecRule ARGS x\n");
  EXPECT_FALSE(store.install(make_signed(key, 5), false));  // the same again
  EXPECT_FALSE(store.install(make_signed(key, 4), false));
  EXPECT_EQ(std::filesystem::read_symlink(store.home + "/current"), "5");
  EXPECT_TRUE(store.install(make_signed(key, 4), true));
  EXPECT_EQ(std::filesystem::read_symlink(store.home + "/current"), "4");
  EXPECT_TRUE(store.install(make_signed(key, 6), false));
  EXPECT_EQ(store.entries(), (std::set<std::string>{"current", "4", "6"}));
}

TEST(BundleStore, IsAsBeforeWhereTheNewOneIsNotPublished) {
  const Pair key = make_key();
  Store store(key);
  EXPECT_TRUE(store.install(make_signed(key, 4, "bad"), false, false));
  EXPECT_EQ(store.entries(), std::set<std::string>{});
  EXPECT_TRUE(store.install(make_signed(key, 5), false));
  // Another one, the same version by force, and an older one.
  for (const std::uint64_t version : {6, 5, 4}) {
    EXPECT_TRUE(store.install(make_signed(key, version, "bad"), true, false));
    EXPECT_EQ(store.rules(), "SecRule ARGS x\n") << version;
    EXPECT_EQ(store.entries(), (std::set<std::string>{"current", "5"})) << version;
  }
  EXPECT_TRUE(store.install(make_signed(key, 5, "better"), true));
  EXPECT_EQ(store.rules(), "better");
  EXPECT_FALSE(store.install(make_signed(key, 5), false));
  EXPECT_TRUE(store.install(make_signed(key, 5), true));
  EXPECT_EQ(store.rules(), "SecRule ARGS x\n");
}

}  // namespace
}  // namespace sluice::publish
