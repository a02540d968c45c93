// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "controlplane/publish/control_segment.h"
#include "controlplane/publish/file_io.h"
#include "dataplane/abi/store.h"
#include "tests/unit/publish/dataplane_side.h"

/// The real sluiced and sluicectl as processes, killed and started in every order beside a
/// dataplane's end of the shared memory.
namespace sluice {
namespace {

using nlohmann::json;

class Processes : public ::testing::Test {
 protected:
  Processes() {
    const std::string home = folder_.path();
    std::ofstream(config_) << "paths: { shm: " << home << "/shm, state: " << home
                           << "/state, run: " << home << "/run, log: " << home
                           << "/log, policy: " << home << "/policy.yaml }\n"
                           << "metrics: { listen: \"off\" }\n";
    std::ofstream(home + "/policy.yaml") << "mode: block\n";
  }
  ~Processes() override {
    if (daemon_ > 0) stop(SIGKILL);
  }

  pid_t spawn(std::vector<std::string> words, const std::string& output) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int to = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(to, STDOUT_FILENO);
    ::dup2(to, STDERR_FILENO);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  void start() {
    daemon_ = spawn({SLUICED, "--config", config_}, folder_.path() + "/daemon.log");
    for (int i = 0; i < 500 && run({"status"}) != 0; ++i) {
      if (::waitpid(daemon_, nullptr, WNOHANG) == daemon_) {
        daemon_ = 0;
        ADD_FAILURE() << "sluiced ended: "
                      << publish::read_file(folder_.path() + "/daemon.log").value();
        return;
      }
      ::usleep(10'000);
    }
  }
  int stop(int signal) {
    if (daemon_ == 0) return -1;  // it has ended by itself, and said so
    ::kill(daemon_, signal);
    int status = 0;
    ::waitpid(daemon_, &status, 0);
    daemon_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  /// Runs sluicectl; its output is in output_.
  int run(std::vector<std::string> words) {
    words.insert(words.begin(), {SLUICECTL, "--config", config_});
    const std::string file = folder_.path() + "/ctl.out";
    int status = 0;
    ::waitpid(spawn(words, file), &status, 0);
    output_ = publish::read_file(file).value();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  json status() {
    EXPECT_EQ(run({"status", "--json"}), 0) << output_;
    return json::parse(output_, nullptr, false);
  }
  std::size_t records(const std::string& type) {
    run({"--json", "events", "--type", type, "--limit", "100000"});
    return static_cast<std::size_t>(std::count(output_.begin(), output_.end(), '\n'));
  }

  test::TempFolder folder_;
  std::string config_ = folder_.path() + "/sluice.yaml";
  std::string output_;
  pid_t daemon_ = 0;
};

TEST_F(Processes, ExitStatusesAreThoseOfTheInterface) {
  EXPECT_EQ(run({"status"}), 4);
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"nonsense"}), 2);
  EXPECT_EQ(run({"mode", "sometimes"}), 2);
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({"config", "test", folder_.path() + "/none.yaml"}), 3);
  start();
  EXPECT_EQ(run({"status"}), 0);
  EXPECT_EQ(run({"rollback", "77"}), 1);
  EXPECT_EQ(run({"explain", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}), 1);
  EXPECT_EQ(run({"push", folder_.path() + "/none.yaml"}), 3);
  EXPECT_EQ(stop(SIGTERM), 0);
  EXPECT_EQ(run({"status"}), 4);
}

TEST_F(Processes, CountersWithoutADataplaneSaySo) {
  start();
  EXPECT_EQ(run({"counters"}), 1);
  EXPECT_EQ(output_, "sluicectl: no counters: no dataplane runs\n");
  EXPECT_EQ(run({"--json", "counters"}), 1);
  EXPECT_EQ(run({"counters", "--watch"}), 1);
  test::DataplaneSide dataplane(folder_.path() + "/shm", {});
  // sluiced looks for it now and then.
  int exit = run({"counters"});
  for (int i = 0; i < 500 && exit != 0; ++i) {
    ::usleep(10'000);
    exit = run({"counters"});
  }
  EXPECT_EQ(exit, 0) << output_;
}

TEST_F(Processes, GlobalOptionsStandAnywhere) {
  start();
  EXPECT_EQ(run({"status", "--json", "--instance", "main"}), 0);
  EXPECT_TRUE(json::accept(output_)) << output_;
  EXPECT_EQ(run({"--json", "bypass", "off"}), 0);
  EXPECT_EQ(run({"bypass", "--json", "off"}), 0);
  EXPECT_EQ(run({"bypass", "off", "--json"}), 0);
  EXPECT_TRUE(json::accept(output_)) << output_;
}

TEST_F(Processes, SwitchesSurviveKillMinusNine) {
  start();
  ASSERT_EQ(run({"mode", "monitor"}), 0);
  ASSERT_EQ(run({"bypass", "on"}), 0);
  stop(SIGKILL);
  std::filesystem::remove_all(folder_.path() + "/shm");  // as after a reboot
  start();
  EXPECT_EQ(status()["mode_switch"], "monitor");
  EXPECT_EQ(status()["bypass"], true);
  auto control = publish::ControlSegment::attach(folder_.path() + "/shm");
  EXPECT_EQ(abi::wanted_mode(control.value().raw()), 1u);
  EXPECT_TRUE(abi::wanted_bypass(control.value().raw()));
}

TEST_F(Processes, EitherDiesAndComesBackInEveryOrder) {
  const auto write = [](test::DataplaneSide& dataplane) {
    abi::EventHeader header{};
    header.time_ns = 1'795'517'940ULL * 1'000'000'000;
    return dataplane.write(0, 1, abi::RecordType::kHttp, header, {});
  };
  const auto wait_for = [this](std::size_t count) {
    for (int i = 0; i < 200 && records("http") < count; ++i) ::usleep(10'000);
    return records("http");
  };
  auto dataplane = std::make_unique<test::DataplaneSide>(folder_.path() + "/shm",
                                                         test::DataplaneSide::Options{});
  ASSERT_TRUE(write(*dataplane));
  start();  // the dataplane came first
  EXPECT_EQ(wait_for(1), 1u);
  for (int round = 0; round < 2; ++round) {
    const std::size_t before = records("http");
    stop(SIGKILL);
    ASSERT_TRUE(write(*dataplane));  // waits in the ring
    start();
    EXPECT_EQ(wait_for(before + 1), before + 1);
    dataplane->die();
    dataplane = std::make_unique<test::DataplaneSide>(folder_.path() + "/shm",
                                                      test::DataplaneSide::Options{});
    ASSERT_TRUE(write(*dataplane));
    EXPECT_EQ(wait_for(before + 2), before + 2);
    EXPECT_EQ(status()["dataplane"]["state"], "running");
  }
  dataplane.reset();
  EXPECT_EQ(status()["dataplane"]["state"], "stopped");
}

TEST_F(Processes, HupOpensTheRecordsAnew) {
  start();
  const std::string eve = folder_.path() + "/log/eve.json";
  for (int i = 0; i < 200 && !std::filesystem::exists(eve); ++i) ::usleep(10'000);
  std::filesystem::rename(eve, folder_.path() + "/moved");
  ::kill(daemon_, SIGHUP);
  ASSERT_EQ(run({"bypass", "off"}), 0);
  for (int i = 0; i < 200 && !std::filesystem::exists(eve); ++i) ::usleep(10'000);
  EXPECT_TRUE(std::filesystem::exists(eve));
}

TEST_F(Processes, SecondDaemonOfAnInstanceDoesNotStart) {
  start();
  int result = 0;
  ::waitpid(spawn({SLUICED, "--config", config_}, folder_.path() + "/second.log"), &result, 0);
  EXPECT_EQ(WEXITSTATUS(result), 1);
  EXPECT_NE(publish::read_file(folder_.path() + "/second.log").value().find("another sluiced"),
            std::string::npos);
  EXPECT_EQ(run({"status"}), 0);
}

}  // namespace
}  // namespace sluice
