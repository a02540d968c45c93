// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "dataplane/base/clock.h"
#include "dataplane/worker/options.h"

namespace sluice::worker {
namespace {

constexpr base::Nanos kPauseFirst = 100 * base::kNanosPerMilli;
constexpr base::Nanos kPauseLongest = 5 * base::kNanosPerSecond;
/// A child that lived this long had started properly.
constexpr base::Nanos kLivedLong = 5 * base::kNanosPerSecond;

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

pid_t start_child(int (*child)(const void*), const void* argument, const sigset_t& previous) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // The link must not stay with a process that nobody watches.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kExitFailed);
  ::sigprocmask(SIG_SETMASK, &previous, nullptr);
  const int status = child(argument);
  std::fflush(nullptr);
  ::_exit(status);
}

/// Waits for the child's end or a signal to stop, which is handed on. True: stop.
bool wait_for(pid_t pid, const sigset_t& signals, int& status) {
  bool stopping = false;
  for (;;) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return stopping;
    const int signal = ::sigwaitinfo(&signals, nullptr);
    if (signal != SIGTERM && signal != SIGINT) continue;
    stopping = true;
    ::kill(pid, SIGTERM);
  }
}

/// Sleeps; true if told to stop meanwhile.
bool pause_for(base::Nanos pause, sigset_t signals) {
  sigdelset(&signals, SIGCHLD);
  const timespec wait{static_cast<time_t>(pause / base::kNanosPerSecond),
                      static_cast<long>(pause % base::kNanosPerSecond)};
  return ::sigtimedwait(&signals, nullptr, &wait) > 0;
}

}  // namespace

base::Result<int> lock_pid_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return base::Error{"cannot open " + path + ": " + std::strerror(errno)};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    (void)!::pread(fd, holder, sizeof holder - 1, 0);
    ::close(fd);
    std::string pid = holder;
    pid.erase(std::remove(pid.begin(), pid.end(), '\n'), pid.end());
    return base::Error{"this instance runs already (pid " + pid + ", " + path +
                       "): stop it, or choose another --instance"};
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    ::close(fd);
    return base::Error{"cannot write " + path + ": " + std::strerror(errno)};
  }
  return fd;
}

int supervise(int (*child)(const void*), const void* argument) {
  const sigset_t signals = watched_signals();
  sigset_t previous;
  ::sigprocmask(SIG_BLOCK, &signals, &previous);
  base::Nanos pause = 0;
  bool ever_ran = false;
  for (;;) {
    const base::Nanos started = base::monotonic_now();
    const pid_t pid = start_child(child, argument, previous);
    if (pid < 0) return fail(std::string("cannot fork: ") + std::strerror(errno), kExitFailed);
    int status = 0;
    const bool stopping = wait_for(pid, signals, status);
    const bool lived = base::monotonic_now() - started > kLivedLong;
    ever_ran = ever_ran || lived || WIFSIGNALED(status);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (stopping || code == kExitDone) return std::max(code, kExitDone);
    if (code == kExitUsage || code == kExitConfiguration || !ever_ran) return code;
    if (lived) pause = 0;
    const std::string how = code < 0 ? "by signal " + std::to_string(WTERMSIG(status))
                                     : "with status " + std::to_string(code);
    fail("ended " + how + "; starting it again in " + std::to_string(pause / base::kNanosPerMilli) +
             " ms",
         0);
    if (pause != 0 && pause_for(pause, signals)) return kExitDone;
    pause = pause == 0 ? kPauseFirst : std::min(pause * 2, kPauseLongest);
  }
}

}  // namespace sluice::worker
