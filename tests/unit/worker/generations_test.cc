// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/generations.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/compile/compile.h"
#include "controlplane/policy/policy.h"
#include "dataplane/abi/store.h"

/// The main thread's side of generations, with real images and workers that only observe.
namespace sluice::worker {
namespace {

constexpr std::size_t kWorkers = 2;
constexpr const char* kPolicy =
    "mode: block\nservices:\n  - { name: web, addresses: [192.0.2.1], ports: [80] }\n";

std::string image_of(std::uint64_t number) {
  config::Diagnostics diagnostics;
  compile::StringsBuilder strings;
  compile::ImageParts parts;
  const policy::Policy policy = policy::parse_text("policy.yaml", kPolicy, diagnostics);
  parts.policy = policy::encode_policy(policy, compile::kPolicyOffset, strings);
  parts.strings = &strings;
  parts.generation = number;
  const auto image = compile::write_image(parts, nullptr);
  EXPECT_TRUE(image.ok() && diagnostics.ok());
  return {image.value().begin(), image.value().end()};
}

class GenerationsOf : public ::testing::Test {
 protected:
  GenerationsOf() {
    settings_.paths.shm = root_ + "/shm";
    settings_.paths.state = root_ + "/state";
    settings_.cores = {0, 1};
    std::filesystem::create_directories(settings_.paths.shm + "/images");
    std::filesystem::create_directories(settings_.paths.state + "/generations");
  }
  ~GenerationsOf() override {
    stop_ = true;
    if (observer_.joinable()) observer_.join();
    generations_.reset();
    std::filesystem::remove_all(root_);
  }
  void open() {
    generations_ = std::make_unique<Generations>(*shared_, *control_, *dataplane_, settings_);
    notes_ = generations_->open();
    observer_ = std::thread([this] {
      while (!stop_) {
        for (std::size_t i = 0; i < kWorkers; ++i) {
          shared_->workers[i].observed = shared_->current.load()->sequence;
        }
        std::this_thread::yield();
      }
    });
  }
  void write(const std::string& path, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void store(std::uint64_t number, const std::string& image) {
    const std::string folder = settings_.paths.state + "/generations/" + std::to_string(number);
    write(folder + "/image.img", image);
    write(folder + "/accepted", "");
  }
  void announce(std::uint64_t number, const std::string& image) {
    write(settings_.paths.shm + "/images/" + std::to_string(number) + ".img", image);
    control_->announced = number;
    generations_->tick();
  }
  abi::ImageError answered() const {
    return static_cast<abi::ImageError>(dataplane_->answer_live.error.load());
  }

  /// Makes generations live until every slot is taken, each but the last one held by worker 1.
  std::vector<engine::Generation*> fill_slots() {
    std::vector<engine::Generation*> held;
    for (std::uint64_t number = 1; number <= abi::kGenerationSlots; ++number) {
      announce(number, image_of(number));
      EXPECT_EQ(answered(), abi::ImageError::kNone) << number;
      held.push_back(shared_->current.load()->live);
      held.back()->pin(1);
    }
    return held;
  }

  std::string root_ = "/tmp/sluice-generations-" + std::to_string(::getpid());
  config::Settings settings_;
  std::unique_ptr<SharedState> shared_ = std::make_unique<SharedState>();
  std::unique_ptr<abi::ControlSegment> control_ = std::make_unique<abi::ControlSegment>();
  std::unique_ptr<abi::DataplaneSegment> dataplane_ = std::make_unique<abi::DataplaneSegment>();
  std::unique_ptr<Generations> generations_;
  std::string notes_;
  std::atomic<bool> stop_{false};
  std::thread observer_;
};

TEST_F(GenerationsOf, StartsWithNothingAndSaysSo) {
  open();
  EXPECT_EQ(generations_->live(), 0U);
  EXPECT_NE(notes_.find("no generation yet"), std::string::npos) << notes_;
  EXPECT_NE(shared_->current.load(), nullptr);
}

TEST_F(GenerationsOf, TakesWhatIsAnnouncedAndAnswers) {
  open();
  announce(3, image_of(3));
  EXPECT_EQ(dataplane_->answer_live.generation.load(), 3U);
  EXPECT_EQ(answered(), abi::ImageError::kNone);
  EXPECT_EQ(dataplane_->live.load(), 3U);
  ASSERT_NE(shared_->current.load()->live, nullptr);
  EXPECT_EQ(shared_->current.load()->live->number(), 3U);
}

TEST_F(GenerationsOf, WhatHappensToTheFileAfterwardsHasNoEffect) {
  open();
  announce(3, image_of(3));
  write(settings_.paths.shm + "/images/3.img", std::string(1 << 16, 'x'));
  EXPECT_EQ(shared_->current.load()->live->services().size(), 1U);
}

TEST_F(GenerationsOf, RefusesDamageAndKeepsTheLiveOne) {
  open();
  announce(3, image_of(3));
  std::string damaged = image_of(4);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  announce(4, damaged);
  EXPECT_EQ(dataplane_->answer_live.generation.load(), 4U);
  EXPECT_EQ(answered(), abi::ImageError::kDigest);
  EXPECT_EQ(dataplane_->live.load(), 3U);
  announce(5, image_of(5).substr(0, 40));
  EXPECT_EQ(answered(), abi::ImageError::kTooShort);
  announce(6, image_of(7));  // another's number
  EXPECT_NE(answered(), abi::ImageError::kNone);
  control_->announced = 8;  // no file
  generations_->tick();
  EXPECT_EQ(answered(), abi::ImageError::kUnreadable);
  EXPECT_EQ(dataplane_->live.load(), 3U);
}

TEST_F(GenerationsOf, StartsWithTheLiveOneOfTheDisk) {
  store(2, image_of(2));
  store(5, image_of(5));
  write(settings_.paths.state + "/generations/live", "2\n");
  open();
  EXPECT_EQ(generations_->live(), 2U) << notes_;
}

TEST_F(GenerationsOf, StartsWithTheNewestAcceptedWhereLiveIsDamaged) {
  store(2, image_of(2));
  store(5, image_of(5));
  store(7, "not an image");
  write(settings_.paths.state + "/generations/9/image.img", image_of(9));  // never accepted
  write(settings_.paths.state + "/generations/live", "7");
  open();
  EXPECT_EQ(generations_->live(), 5U) << notes_;
  EXPECT_NE(notes_.find("generation 7 on disk"), std::string::npos) << notes_;
}

TEST_F(GenerationsOf, ReclaimsWhatNobodyUses) {
  open();
  for (std::uint64_t number = 1; number <= 20; ++number) announce(number, image_of(number));
  EXPECT_EQ(dataplane_->live.load(), 20U);
  generations_->tick();
  EXPECT_EQ(dataplane_->reclaimed.load(), 19U);
}

TEST_F(GenerationsOf, EndsTheOldestForWantOfASlotAndFailsLoudlyIfThatGivesNone) {
  open();
  const std::vector<engine::Generation*> held = fill_slots();
  const std::uint64_t live = dataplane_->live.load();
  const base::Nanos began = base::monotonic_now();
  announce(50, image_of(50));
  EXPECT_EQ(dataplane_->answer_live.generation.load(), live) << "not answered yet";
  EXPECT_EQ(shared_->current.load()->ending, 0U) << "what is short ends by itself";
  const auto tick_until = [&](const auto& holds) {
    while (!holds() && base::monotonic_now() < began + 2 * kSlotWaitNs) {
      generations_->tick();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return base::monotonic_now() - began;
  };
  const base::Nanos grace = tick_until([&] { return shared_->current.load()->ending != 0; });
  EXPECT_GE(grace, kSlotGraceNs);
  EXPECT_LT(grace, kSlotWaitNs);
  EXPECT_EQ(shared_->current.load()->ending, held.front()->number());
  held.front()->unpin(1);  // as a worker does
  tick_until([&] { return dataplane_->answer_live.generation.load() == 50U; });
  EXPECT_EQ(answered(), abi::ImageError::kNone);
  EXPECT_EQ(dataplane_->live.load(), 50U);
  // A worker that ends nothing.
  shared_->current.load()->live->pin(1);
  announce(51, image_of(51));
  const base::Nanos again = base::monotonic_now();
  tick_until([&] { return dataplane_->answer_live.generation.load() == 51U; });
  EXPECT_GE(base::monotonic_now() - again, kSlotWaitNs - base::kNanosPerSecond);
  EXPECT_EQ(answered(), abi::ImageError::kNoSlot);
  EXPECT_EQ(dataplane_->live.load(), 50U);
  EXPECT_NE(std::string(dataplane_->answer_live.message).find("push again"), std::string::npos);
}

TEST_F(GenerationsOf, AGenerationThatIsLiveAgainIsNotEnded) {
  open();
  const std::vector<engine::Generation*> held = fill_slots();
  announce(50, image_of(50));
  while (shared_->current.load()->ending == 0) generations_->tick();
  const std::uint64_t number = held.front()->number();
  control_->announced = number;  // a rollback, its image still in a slot
  generations_->tick();
  EXPECT_EQ(dataplane_->live.load(), number);
  EXPECT_EQ(shared_->current.load()->ending, 0U);
}
TEST_F(GenerationsOf, StagesBesideTheLiveOneAndPromotesIt) {
  open();
  announce(1, image_of(1));
  write(settings_.paths.shm + "/images/2.img", image_of(2));
  control_->announced_staged = 2;
  generations_->tick();
  EXPECT_EQ(dataplane_->answer_staged.generation.load(), 2U);
  EXPECT_EQ(dataplane_->staged.load(), 2U);
  EXPECT_EQ(dataplane_->live.load(), 1U);
  control_->announced = 2;
  control_->announced_staged = 0;
  generations_->tick();
  EXPECT_EQ(dataplane_->live.load(), 2U);
  EXPECT_EQ(dataplane_->staged.load(), 0U);
}

TEST_F(GenerationsOf, ReadsSwitchesFromTheSegmentAndBeforeThatFromTheDisk) {
  write(settings_.paths.state + "/switches", "mode monitor\nbypass on\nservice 00ff off\n");
  open();
  EXPECT_TRUE(shared_->current.load()->switches.bypass);
  EXPECT_EQ(shared_->current.load()->switches.mode, 1U);
  EXPECT_EQ(shared_->current.load()->switches.services[0].name_hash, 0xffU);
  control_->mode = static_cast<std::uint32_t>(abi::Mode::kBlock);
  control_->switches_version = 1;
  generations_->tick();
  EXPECT_FALSE(shared_->current.load()->switches.bypass);
  EXPECT_EQ(shared_->current.load()->switches.mode, 2U);
}

}  // namespace
}  // namespace sluice::worker
