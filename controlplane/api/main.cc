// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <fcntl.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>

#include "controlplane/api/builder.h"
#include "controlplane/api/handlers.h"
#include "controlplane/api/http_server.h"
#include "controlplane/api/settings.h"
#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/notify.h"
#include "dataplane/config/instance_name.h"

namespace sluice::api {
namespace {

struct Options {
  std::string config = "/etc/sluice/sluice.yaml";
  std::string instance = "main";
};

void usage(std::FILE* to) {
  std::fputs(
      "usage: sluiced [--config FILE] [--instance NAME]\n"
      "  Compiles and publishes rules, collects records and counters, serves the control API.\n"
      "  --config FILE    default /etc/sluice/sluice.yaml\n"
      "  --instance NAME  default main; names shared memory, sockets and folders\n"
      "  --version        version and commit\n"
      "Signals: TERM, INT stop; HUP opens eve.json again.\n",
      to);
}

/// Exit status, or -1 to go on.
int parse_options(int argc, char** argv, Options& options) {
  static constexpr option kLong[] = {{"config", required_argument, nullptr, 'c'},
                                     {"instance", required_argument, nullptr, 'i'},
                                     {"help", no_argument, nullptr, 'h'},
                                     {"version", no_argument, nullptr, 'V'},
                                     {nullptr, 0, nullptr, 0}};
  for (int letter; (letter = ::getopt_long(argc, argv, "c:i:hV", kLong, nullptr)) != -1;) {
    switch (letter) {
      case 'c':
        options.config = optarg;
        break;
      case 'i':
        options.instance = optarg;
        break;
      case 'h':
        usage(stdout);
        return 0;
      case 'V':
        std::printf("sluiced %s (%s)\n", SLUICE_VERSION, SLUICE_COMMIT);
        return 0;
      default:
        usage(stderr);
        return 2;
    }
  }
  if (!config::is_instance_name(options.instance)) {
    std::fprintf(stderr, "sluiced: %s\n", config::kInstanceNameWanted);
    return 2;
  }
  if (optind == argc) return -1;
  usage(stderr);
  return 2;
}

int fail(const std::string& message, int status) {
  std::fprintf(stderr, "sluiced: %s\n", message.c_str());
  return status;
}

/// One daemon per instance: the lock goes with the process, however it ends.
base::Result<int> lock_instance(const std::string& run) {
  if (auto made = publish::make_folders(run); !made.ok()) return made.error();
  const std::string path = run + "/sluiced.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return base::Error{"cannot open " + path + ": " + std::strerror(errno)};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return base::Error{"another sluiced of this instance holds " + path};
  }
  return fd;
}

/// Steps the collector until a signal says stop.
void run_until_stopped(publish::Publisher& publisher, telemetry::Collector& collector,
                       const sigset_t& signals) {
  const std::uint64_t watchdog_ns = base::watchdog_interval_ns();
  base::Nanos next_tick = 0, next_watchdog = 0;
  for (;;) {
    const base::Nanos now = base::monotonic_now();
    const std::size_t carried = collector.step(now, base::wall_now());
    if (now >= next_tick) {
      publisher.tick();
      next_tick = now + base::kNanosPerSecond;
    }
    if (watchdog_ns != 0 && now >= next_watchdog) {
      base::notify_systemd("WATCHDOG=1");
      next_watchdog = now + watchdog_ns;
    }
    const timespec wait{0, carried > 1000 ? 0 : 10'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, &wait);
    if (signal == SIGTERM || signal == SIGINT) return;
    if (signal == SIGHUP) collector.reopen();
  }
}

telemetry::CollectorOptions collector_options(const Settings& settings,
                                              publish::Publisher& publisher) {
  telemetry::CollectorOptions options;
  options.shm = settings.paths.shm;
  options.state = settings.paths.state;
  options.eve = settings.eve;
  options.version = SLUICE_VERSION;
  options.commit = SLUICE_COMMIT;
  options.generation = [&publisher](std::uint64_t number) {
    auto image = publisher.image(number);
    auto rules = publisher.rules_json(number);
    return std::pair{image.ok() ? std::move(image).value() : std::string(),
                     rules.ok() ? std::move(rules).value() : std::string()};
  };
  return options;
}

int run(const Options& options) {
  const auto settings = load_settings(options.config, options.instance);
  if (!settings.ok()) return fail(settings.error().message, 3);
  const publish::Paths& paths = settings.value().paths;
  if (auto lock = lock_instance(paths.run); !lock.ok()) return fail(lock.error().message, 1);

  // Every thread inherits the mask: signals come to the main loop only.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // A record file at its size limit is a lost record, not the end.
  ::signal(SIGXFSZ, SIG_IGN);

  publish::PublishOptions publish_options;
  publish_options.version = SLUICE_VERSION;
  publish::Publisher publisher(paths, build_generation, publish_options);
  if (auto opened = publisher.open(); !opened.ok()) return fail(opened.error().message, 1);
  telemetry::Collector collector(collector_options(settings.value(), publisher));
  publish::BundleStore bundles(
      paths.state, std::filesystem::path(paths.policy).parent_path().string() + "/keys");
  Services services{publisher,     collector,        SLUICE_VERSION,
                    SLUICE_COMMIT, options.instance, settings.value().eve.path,
                    &bundles};
  HttpServer control([&](const Request& request) { return handle(services, request); });
  HttpServer metrics([&](const Request& request) { return handle_metrics(services, request); });
  if (auto up = control.listen_unix(paths.socket()); !up.ok()) return fail(up.error().message, 1);
  if (!settings.value().metrics_listen.empty() && settings.value().metrics_listen != "off") {
    // Records and control matter more than metrics: go on without.
    if (auto up = metrics.listen_tcp(settings.value().metrics_listen); !up.ok()) {
      fail(up.error().message + "; going on without metrics", 0);
    }
  }
  collector.audit("daemon.start", "done", std::string("version ") + SLUICE_VERSION,
                  actor_text(::getpid()), publisher.live());
  base::notify_systemd("READY=1");
  std::fprintf(stderr, "sluiced %s: instance %s, control on %s\n", SLUICE_VERSION,
               options.instance.c_str(), paths.socket().c_str());
  run_until_stopped(publisher, collector, signals);
  base::notify_systemd("STOPPING=1");
  control.stop();
  metrics.stop();
  collector.audit("daemon.stop", "done", "", actor_text(::getpid()), publisher.live());
  collector.finish();
  return 0;
}

}  // namespace
}  // namespace sluice::api

int main(int argc, char** argv) {
  sluice::api::Options options;
  const int status = sluice::api::parse_options(argc, argv, options);
  if (status >= 0) return status;
  return sluice::api::run(options);
}
