// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

namespace sluice::ctl {
namespace {

/// Listens at a socket and takes one request, whose connection it keeps for so many milliseconds.
class Listener {
 public:
  explicit Listener(unsigned keep_ms) {
    ::unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 1), 0);
    thread_ = std::thread([this, keep_ms] {
      const int taken = ::accept(fd_, nullptr, nullptr);
      char request[1];
      EXPECT_EQ(::recv(taken, request, sizeof request, 0), 1);
      ::usleep(keep_ms * 1000);
      ::close(taken);
    });
  }
  ~Listener() {
    thread_.join();
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/sluice-client-" + std::to_string(::getpid());
  int fd_ = -1;
  std::thread thread_;
};

TEST(Client, NobodyThereIsNotReachable) {
  const Answer answer = get("/tmp/sluice-client-nobody", "/v1/status");
  EXPECT_EQ(answer.exit, kUnreachable);
  EXPECT_NE(answer.message.find("not reachable"), std::string::npos) << answer.message;
}

TEST(Client, ADaemonThatEndsIsNotReachableEither) {
  const Listener dies(0);
  const Answer answer = get(dies.path(), "/v1/status", {}, 5);
  EXPECT_EQ(answer.exit, kUnreachable);
  EXPECT_NE(answer.message.find("ended before it answered"), std::string::npos) << answer.message;
}

TEST(Client, ADaemonThatIsSilentIsATimeout) {
  const Listener silent(1500);
  const Answer answer = get(silent.path(), "/v1/status", {}, 1);
  EXPECT_EQ(answer.exit, kTimeout);
  EXPECT_NE(answer.message.find("in time"), std::string::npos) << answer.message;
}

}  // namespace
}  // namespace sluice::ctl
