// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/publisher.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "controlplane/publish/file_io.h"
#include "dataplane/abi/store.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::publish {
namespace {

class PublisherTest : public ::testing::Test {
 protected:
  PublisherTest() {
    paths_.shm = folder_.path() + "/shm";
    paths_.state = folder_.path() + "/state";
    paths_.run = folder_.path() + "/run";
    paths_.policy = folder_.path() + "/policy.yaml";
    options_.answer_timeout_ms = 2000;
    write_policy("good");
  }
  void write_policy(const std::string& text) { std::ofstream(paths_.policy) << text; }

  /// The image's body is the policy's text; "bad" has an error.
  Publisher make() {
    return Publisher(
        paths_,
        [](const BuildRequest& request) {
          BuildResult result;
          result.sources = request.stored;
          if (result.sources.empty()) {
            result.sources.push_back({request.policy, read_file(request.policy).value()});
          }
          const std::string& text = result.sources[0].text;
          if (text == "bad") {
            result.errors.push_back({request.policy, 3, 7, "unknown key"});
            return result;
          }
          const std::string image = test::make_image(request.generation, text);
          result.image.assign(image.begin(), image.end());
          return result;
        },
        options_);
  }

  test::TempFolder folder_;
  Paths paths_;
  PublishOptions options_;
};

TEST_F(PublisherTest, PushIsLiveOnlyAfterTheDataplaneTookIt) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  const PublishReport report = publisher.push("", "uid 0", "push");
  EXPECT_EQ(report.outcome, Outcome::kLive) << report.message;
  EXPECT_EQ(report.generation, 1u);
  EXPECT_EQ(dataplane.segment().live.load(), 1u);
  ASSERT_EQ(publisher.generations().size(), 1u);
  EXPECT_EQ(publisher.generations()[0].state, GenerationState::kAccepted);
  EXPECT_EQ(read_file(paths_.state + "/generations/live").value(), "1\n");
  EXPECT_TRUE(std::filesystem::exists(paths_.state + "/generations/1/accepted"));
}

TEST_F(PublisherTest, BadSourcesChangeNothing) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  write_policy("bad");
  const PublishReport report = publisher.push("", "x", "push");
  EXPECT_EQ(report.outcome, Outcome::kInvalid);
  EXPECT_EQ(exit_status(report.outcome), 3);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_EQ(report.errors[0].line, 3u);
  EXPECT_EQ(publisher.live(), 1u);
  EXPECT_EQ(publisher.generations().size(), 1u);
}

TEST_F(PublisherTest, RefusedImageLeavesTheLiveOneAndIsNotAnnouncedAgain) {
  test::DataplaneSide::Options side;
  side.judge = [](std::string_view image) {
    return image.ends_with("poison") ? abi::ImageError::kDigest : abi::ImageError::kNone;
  };
  test::DataplaneSide dataplane(paths_.shm, side);
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  write_policy("poison");
  const PublishReport report = publisher.push("", "x", "push");
  EXPECT_EQ(report.outcome, Outcome::kRefused);
  EXPECT_EQ(exit_status(report.outcome), 5);
  EXPECT_EQ(report.message, abi::image_error_text(abi::ImageError::kDigest)) << "once";
  EXPECT_EQ(dataplane.segment().live.load(), 1u);
  EXPECT_EQ(publisher.generations()[1].state, GenerationState::kRefused);
  auto control = ControlSegment::attach(paths_.shm);
  EXPECT_EQ(control.value().announced(), 1u);
  // Its number is not given out twice.
  write_policy("good");
  EXPECT_EQ(publisher.push("", "x", "push").generation, 3u);
}

TEST_F(PublisherTest, SilentDataplaneIsATimeout) {
  test::DataplaneSide::Options side;
  side.answers = false;
  test::DataplaneSide dataplane(paths_.shm, side);
  options_.answer_timeout_ms = 50;
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  const PublishReport report = publisher.push("", "x", "push");
  EXPECT_EQ(report.outcome, Outcome::kTimeout);
  EXPECT_EQ(exit_status(report.outcome), 6);
}

TEST_F(PublisherTest, WithoutADataplaneAPushWaitsForItsStart) {
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  const PublishReport report = publisher.push("", "x", "push");
  EXPECT_EQ(report.outcome, Outcome::kPending);
  EXPECT_EQ(publisher.generations()[0].state, GenerationState::kPending);
  EXPECT_EQ(publisher.live(), 0u);
  test::DataplaneSide dataplane(paths_.shm, {});
  for (int i = 0; i < 1000 && dataplane.segment().live.load() != 1; ++i) ::usleep(1000);
  publisher.tick();
  EXPECT_EQ(publisher.generations()[0].state, GenerationState::kAccepted);
  EXPECT_EQ(publisher.live(), 1u);
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_EQ(publisher.rollback(0, "x").generation, 1u) << "it was live, though not by a push";
}

TEST_F(PublisherTest, RollbackPassesOverWhatWasOnlyStaged) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  ASSERT_EQ(publisher.stage("", "x").outcome, Outcome::kStaged);
  ASSERT_EQ(publisher.unstage().outcome, Outcome::kLive);
  ASSERT_EQ(publisher.push("", "x", "push").generation, 3u);
  EXPECT_EQ(publisher.rollback(0, "x").generation, 1u);
}

TEST_F(PublisherTest, RollbackGoesToTheAcceptedOneBefore) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_EQ(publisher.rollback(0, "x").generation, 2u);
  EXPECT_EQ(dataplane.segment().live.load(), 2u);
  EXPECT_EQ(publisher.rollback(1, "x").outcome, Outcome::kLive);
  EXPECT_EQ(dataplane.segment().live.load(), 1u);
  EXPECT_EQ(publisher.rollback(0, "x").outcome, Outcome::kNotFound);
  EXPECT_EQ(publisher.rollback(99, "x").outcome, Outcome::kNotFound);
  EXPECT_EQ(read_file(paths_.state + "/generations/live").value(), "1\n");
}

TEST_F(PublisherTest, RollbackToAnImageOfAnotherCpuCompilesTheStoredSources) {
  std::atomic<bool> other_cpu{false};
  test::DataplaneSide::Options side;
  side.judge = [&other_cpu](std::string_view image) {
    abi::ImageHeader header;
    std::memcpy(&header, image.data(), sizeof header);
    return other_cpu && header.generation == 1 ? abi::ImageError::kCpuFeatures
                                               : abi::ImageError::kNone;
  };
  test::DataplaneSide dataplane(paths_.shm, side);
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  write_policy("second");
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  other_cpu = true;
  const PublishReport report = publisher.rollback(1, "x");
  EXPECT_EQ(report.outcome, Outcome::kLive) << report.message;
  EXPECT_EQ(report.generation, 3u);
  EXPECT_TRUE(publisher.image(3).value().ends_with("good"));
  EXPECT_EQ(publisher.generations()[0].state, GenerationState::kAccepted);
}

TEST_F(PublisherTest, StagedGenerationIsPromotedWithoutCompiling) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_EQ(publisher.promote("x").outcome, Outcome::kNotFound);
  ASSERT_EQ(publisher.stage("", "x").outcome, Outcome::kStaged);
  EXPECT_EQ(publisher.live(), 1u);
  EXPECT_EQ(publisher.staged(), 2u);
  const PublishReport report = publisher.promote("x");
  EXPECT_EQ(report.outcome, Outcome::kLive);
  EXPECT_EQ(report.generation, 2u);
  EXPECT_EQ(report.compile_ms, 0u);
  for (int i = 0; i < 1000 && publisher.staged() != 0; ++i) ::usleep(1000);
  EXPECT_EQ(publisher.staged(), 0u);
}

TEST_F(PublisherTest, DaemonRestartGoesOnWithTheNumbersAndTheLiveGeneration) {
  test::DataplaneSide dataplane(paths_.shm, {});
  {
    Publisher publisher = make();
    ASSERT_TRUE(publisher.open().ok());
    ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  }
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  EXPECT_EQ(publisher.live(), 1u);
  EXPECT_EQ(publisher.push("", "x", "push").generation, 2u);
}

TEST_F(PublisherTest, AfterARebootTheLiveGenerationIsAnnouncedAgain) {
  {
    test::DataplaneSide dataplane(paths_.shm, {});
    Publisher publisher = make();
    ASSERT_TRUE(publisher.open().ok());
    ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
    ASSERT_TRUE(publisher.set_mode(abi::Mode::kMonitor, "").ok());
  }
  std::filesystem::remove_all(paths_.shm);
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  auto control = ControlSegment::attach(paths_.shm);
  EXPECT_EQ(control.value().announced(), 1u);
  EXPECT_EQ(abi::wanted_mode(control.value().raw()),
            static_cast<std::uint32_t>(abi::Mode::kMonitor));
  test::DataplaneSide dataplane(paths_.shm, {});
  for (int i = 0; i < 1000 && dataplane.segment().live.load() != 1; ++i) ::usleep(1000);
  EXPECT_EQ(dataplane.segment().live.load(), 1u);
}

TEST_F(PublisherTest, RemovedSharedMemoryIsSharedOn) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  std::filesystem::remove_all(paths_.shm);
  EXPECT_EQ(publisher.live(), 1u);
  EXPECT_EQ(publisher.out_of_reach(), "");
  EXPECT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_EQ(dataplane.segment().live.load(), 2u);
}

TEST_F(PublisherTest, FollowsADataplaneThatMadeTheSharedMemoryAgain) {
  auto first = std::make_unique<test::DataplaneSide>(paths_.shm, test::DataplaneSide::Options());
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  ASSERT_TRUE(publisher.set_mode(abi::Mode::kMonitor, "").ok());
  first.reset();
  std::filesystem::remove_all(paths_.shm);
  test::DataplaneSide second(paths_.shm, {});
  publisher.tick();
  auto control = ControlSegment::attach(paths_.shm);
  EXPECT_EQ(control.value().announced(), 1u);
  EXPECT_EQ(abi::wanted_mode(control.value().raw()),
            static_cast<std::uint32_t>(abi::Mode::kMonitor));
  EXPECT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_EQ(second.segment().live.load(), 2u);
}

TEST_F(PublisherTest, SaysWhenADataplaneRunsOutOfReach) {
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  EXPECT_EQ(publisher.out_of_reach(), "");
  // A process of that name, as a start of the dataplane leaves its number.
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    ::prctl(PR_SET_NAME, "sluice-dataplane");
    for (;;) ::pause();
  }
  std::filesystem::create_directories(paths_.run);
  std::ofstream(paths_.run + "/dataplane.pid") << pid << "\n";
  std::string said;
  for (int i = 0; i < 1000 && said.empty(); ++i) {
    ::usleep(1000);
    said = publisher.out_of_reach();
  }
  EXPECT_NE(said.find("process " + std::to_string(pid)), std::string::npos) << said;
  EXPECT_NE(said.find("restart"), std::string::npos) << said;
  const PublishReport report = publisher.push("", "x", "push");
  EXPECT_EQ(report.outcome, Outcome::kPending);
  EXPECT_NE(report.message.find("restart"), std::string::npos) << report.message;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(publisher.out_of_reach(), "");
}

TEST_F(PublisherTest, KeptGenerationsAreBounded) {
  test::DataplaneSide dataplane(paths_.shm, {});
  options_.keep = 3;
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  for (int i = 0; i < 8; ++i) ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  EXPECT_LE(publisher.generations().size(), 4u);
  EXPECT_EQ(publisher.generations().back().number, 8u);
}

TEST_F(PublisherTest, AlteredStoredSourceIsNotCompiled) {
  test::DataplaneSide dataplane(paths_.shm, {});
  Publisher publisher = make();
  ASSERT_TRUE(publisher.open().ok());
  for (int i = 0; i < 2; ++i) ASSERT_EQ(publisher.push("", "x", "push").outcome, Outcome::kLive);
  std::ofstream(paths_.state + "/generations/1/image.img") << "damaged";
  std::ofstream(paths_.state + "/generations/1/sources/0") << "altered";
  const PublishReport report = publisher.rollback(1, "x");
  EXPECT_EQ(report.outcome, Outcome::kFailed);
  EXPECT_NE(report.message.find("altered"), std::string::npos);
}

TEST(Switches, SurviveOnDisk) {
  test::TempFolder folder;
  Switches switches;
  switches.mode = abi::Mode::kOff;
  switches.bypass = true;
  switches.services[abi::fnv1a64("orders")] = abi::Mode::kMonitor;
  ASSERT_TRUE(save_switches(folder.path(), switches).ok());
  EXPECT_EQ(load_switches(folder.path()).value(), switches);
}

TEST(Switches, FreshControlSegmentMeansUnsetAndNotOff) {
  test::TempFolder folder;
  auto control = ControlSegment::attach(folder.path());
  ASSERT_TRUE(control.ok());
  EXPECT_EQ(abi::wanted_mode(control.value().raw()), abi::kModeUnset);
}

TEST(DataplaneView, DamagedOffsetsAreRefused) {
  test::TempFolder folder;
  test::DataplaneSide dataplane(folder.path(), {});
  ASSERT_TRUE(DataplaneView::attach(folder.path()).ok());
  dataplane.segment().workers[1].http_ring_offset = ~std::uint64_t{7};
  EXPECT_FALSE(DataplaneView::attach(folder.path()).ok());
}

TEST(DataplaneView, SeesARestartAsAnotherFile) {
  test::TempFolder folder;
  test::DataplaneSide first(folder.path(), {});
  auto view = DataplaneView::attach(folder.path());
  ASSERT_TRUE(view.ok());
  EXPECT_FALSE(view.value()->replaced());
  EXPECT_EQ(view.value()->health(), DataplaneView::Health::kRunning);
  test::DataplaneSide second(folder.path(), {});
  EXPECT_TRUE(view.value()->replaced());
}

}  // namespace
}  // namespace sluice::publish
