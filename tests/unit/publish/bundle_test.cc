// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/bundle.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <filesystem>
#include <fstream>

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

std::string make_signed(const Pair& key, std::uint64_t version) {
  BundleInfo info;
  info.name = "api-signatures";
  info.version = version;
  info.policy = "policy.yaml";
  info.files = {{"policy.yaml", "mode: block\n"}, {"rules/sql.conf", "SecRule ARGS x\n"}};
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

TEST(BundleStore, InstallsUnpacksAndRefusesWhatIsNotNewerUnlessForced) {
  test::TempFolder folder;
  const Pair key = make_key();
  const std::string keys = folder.path() + "/keys", file = folder.path() + "/b";
  BundleStore store(folder.path() + "/state", keys);
  std::ofstream(file) << make_signed(key, 5);
  EXPECT_FALSE(store.install(file, false).ok());  // no trusted key yet
  std::filesystem::create_directories(keys);
  std::ofstream(keys + "/us.pem") << key.public_pem;
  const auto five = store.install(file, false);
  ASSERT_TRUE(five.ok()) << five.error().message;
  EXPECT_EQ(read_file(five.value().policy).value(), "mode: block\n");
  const std::string current = folder.path() + "/state/bundles/api-signatures/current";
  EXPECT_EQ(read_file(current + "/rules/sql.conf").value(), "SecRule ARGS x\n");
  EXPECT_FALSE(store.install(file, false).ok());  // the same again
  std::ofstream(file) << make_signed(key, 4);
  EXPECT_FALSE(store.install(file, false).ok());
  EXPECT_EQ(std::filesystem::read_symlink(current), "5");
  const auto four = store.install(file, true);
  ASSERT_TRUE(four.ok());
  EXPECT_EQ(std::filesystem::read_symlink(current), "4");
  store.revert(four.value());
  EXPECT_EQ(std::filesystem::read_symlink(current), "5");
}

}  // namespace
}  // namespace sluice::publish
